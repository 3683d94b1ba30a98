"""Supervised baseline on the embedded shapes: small Faster R-CNN, 5 % of the labels.

Command: python tools/train.py
         supervised/supervised_faster-rcnn_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short.py",
]

model = _base_.detector
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
