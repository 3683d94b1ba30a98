"""The embedded shapes: small Faster R-CNN with intervals, 5 % of the labels.

Command: python tools/train.py supervised/supervised_ifrcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "./supervised_frcnn_r18_short_shapes_p05.py",
    "../_base_/heads/interval_expected.py",
]

model = _base_.head
