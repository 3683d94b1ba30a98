"""DTG, all labels of COCO: all but how long."""

_base_ = [
    "../models/faster-rcnn_r50_fpn_focal.py",
    "../data/coco_full_dtg.py",
    "../methods/mean_teacher_full.py",
    "../methods/dtg.py",
]

percent = 100
model = dict(_base_.method, **_base_.student)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
