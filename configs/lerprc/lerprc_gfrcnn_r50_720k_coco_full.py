"""LER and PRC: Gaussian Faster R-CNN R50-FPN, all labels of COCO and unlabeled2017.

Command: tools/dist_train.sh lerprc/lerprc_gfrcnn_r50_720k_coco_full.py 2
Published AP: 43.20. The other reading: iterations as Soft Teacher has them.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_gaussian.py",
    "../_base_/data/coco_full_soft_teacher.py",
    "../_base_/schedules/720k.py",
    "../_base_/methods/lerprc_two_gpus.py",
]

percent = 100
model = _base_.student
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
default_hooks = dict(checkpoint=dict(interval=10_000))
