"""Supervised baseline on the embedded shapes: small RTMDet, 5 % of the labels.

Command: python tools/train.py
         supervised/supervised_rtmdet_nano_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/shapes_detectors.py",
    "../_base_/short.py",
]

model = _base_.rtmdet
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
