"""Supervised baseline on the embedded shapes: small Gaussian Faster R-CNN, 5 % labels.

Command: python tools/train.py
         supervised/supervised_faster-rcnn-gaussian_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short.py",
]

model = _base_.detector
model.roi_head.bbox_head = _base_.gaussian_head
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
