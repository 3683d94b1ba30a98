"""The certainty-aware method's first phase, all labels of COCO: all but how long."""

_base_ = [
    "../models/faster-rcnn_r50_fpn_interval.py",
    "../data/coco_full_flip_cutout.py",
    "../methods/supervised.py",
]

percent = 100
model = _base_.student.detector
train_dataloader = dict(dataset=dict(datasets=_base_.supervised_sources))
