"""Certainty-aware pseudo labels: VOC07 labelled, VOC12 unlabelled.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_90k_voc.py --nproc 4
Published AP: 52.4 (table 1b).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_interval.py",
    "../_base_/data/voc_flip_cutout.py",
    "../_base_/schedules/90k.py",
    "../_base_/methods/certainty_union.py",
]

percent = 100
teacher_config = "supervised/supervised_ifrcnn_r50_10k_voc.py"
_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = _base_.student
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
