"""LER and PRC: Gaussian Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh lerprc/lerprc_gfrcnn_r50_180k_coco_p10.py 2
Published AP: 33.52.
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_gaussian.py",
    "../_base_/data/coco_partial_soft_teacher.py",
    "../_base_/schedules/180k.py",
    "../_base_/methods/lerprc_two_gpus.py",
]

percent = 10
model = _base_.student
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
