"""Certainty-aware pseudo labels: all labels of COCO and unlabeled2017, 3x.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_540k_coco_full.py --nproc 4
Published AP: 43.3 (table 1a).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_interval.py",
    "../_base_/data/coco_full_flip_cutout.py",
    "../_base_/schedules/540k.py",
    "../_base_/methods/certainty_union.py",
]

percent = 100
teacher_config = "supervised/supervised_ifrcnn_r50_540k_coco_full.py"
model = _base_.student
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
