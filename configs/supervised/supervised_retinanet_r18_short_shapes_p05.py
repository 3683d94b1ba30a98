"""Supervised baseline on the embedded shapes: small RetinaNet, 5 % of the labels.

Command: python tools/train.py supervised/supervised_retinanet_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/models/retinanet_r18_tiny.py",
    "../_base_/data/shapes.py",
    "../_base_/schedules/short_adamw.py",
    "../_base_/methods/supervised.py",
]

percent = 5
_base_.student.detector.bbox_head.num_classes = _base_.num_classes
model = _base_.student.detector
train_dataloader = dict(batch_size=4, dataset=dict(datasets=_base_.supervised_sources))
auto_scale_lr = dict(base_batch_size=4)
default_hooks = _base_.short_hooks
