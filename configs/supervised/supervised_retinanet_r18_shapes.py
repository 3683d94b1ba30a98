"""Supervised baseline on the embedded shapes: small RetinaNet, 5 % of the labels.

Command: python tools/train.py
         supervised/supervised_retinanet_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short.py",
]

model = _base_.retinanet
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
