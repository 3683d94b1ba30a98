"""Certainty-aware pseudo labels, all labels of COCO: all but how long."""

_base_ = [
    "../models/faster-rcnn_r50_fpn_interval.py",
    "../data/coco_full_flip_cutout.py",
    "../methods/certainty_union.py",
]

percent = 100
model = _base_.student
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
