"""Supervised baseline on the embedded shapes: small DINO, 5 % of the labels.

Command: python tools/train.py
         supervised/supervised_dino_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/shapes_detectors.py",
    "../_base_/short.py",
]

model = _base_.dino
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
