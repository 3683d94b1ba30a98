"""Faster R-CNN R50-FPN, 2 % of the labels of COCO, flip alone.

Command: tools/dist_train.sh supervised/supervised_frcnn_r50_12k_coco_p02.py 8
Published AP: 12.70 (certainty-aware paper).
The first phase of the certainty-aware paper: its checkpoint is the teacher.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/data/coco_partial_flip_cutout.py",
    "../_base_/schedules/12k.py",
    "../_base_/methods/supervised.py",
]

percent = 2
model = _base_.student.detector
train_dataloader = dict(dataset=dict(datasets=_base_.supervised_sources))
