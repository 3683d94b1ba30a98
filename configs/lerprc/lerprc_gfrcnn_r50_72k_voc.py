"""LER and PRC: Gaussian Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh lerprc/lerprc_gfrcnn_r50_72k_voc.py 2
Published AP: 52.81, AP50 80.40, AP75 58.80.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_gaussian.py",
    "../_base_/data/voc_soft_teacher.py",
    "../_base_/schedules/72k.py",
    "../_base_/methods/lerprc_two_gpus.py",
]

percent = 100
_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = dict(_base_.student, semi_train_cfg=dict(unsup_weight=2.0))
train_dataloader = dict(
    batch_size=8,
    sampler=dict(source_ratio=[1, 1]),
    dataset=dict(datasets=_base_.semi_sources),
)
auto_scale_lr = dict(base_batch_size=16)
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
