"""Teacher and student on the embedded shapes: a tiny RetinaNet; see `shapes.py`."""

_base_ = [
    "../models/retinanet_r18_tiny.py",
    "../data/shapes.py",
    "../schedules/short_adamw.py",
    "./mean_teacher.py",
]

_base_.student.detector.bbox_head.num_classes = _base_.num_classes
semi_train_cfg = dict(burn_in=_base_.burn_in, box_hull="ellipse")
model = dict(_base_.student, semi_train_cfg=semi_train_cfg)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
default_hooks = _base_.short_hooks
