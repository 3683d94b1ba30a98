"""Supervised baseline on the embedded shapes: Gaussian Faster R-CNN, 5 % of the labels.

Command: python tools/train.py supervised/supervised_gfrcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "./supervised_frcnn_r18_short_shapes_p05.py",
    "../_base_/heads/gaussian_few_labels.py",
]

model = _base_.head
