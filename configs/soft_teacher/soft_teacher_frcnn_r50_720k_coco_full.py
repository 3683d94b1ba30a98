"""mmdet's SoftTeacher: Faster R-CNN R50-FPN, all labels of COCO and unlabeled2017.

Command: tools/dist_train.sh soft_teacher/soft_teacher_frcnn_r50_720k_coco_full.py 8
Published AP: 44.5 (DTG paper), 42.50 (LER/PRC paper, run again).
Batch and weight as in Soft Teacher: 8 GPUs x 8 images, 1:1, unsupervised weight 2.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/data/coco_full_soft_teacher.py",
    "../_base_/schedules/720k.py",
    "../_base_/methods/mean_teacher_full.py",
    "../_base_/methods/soft_teacher.py",
]

percent = 100
_base_.method.semi_train_cfg.unsup_weight = 2.0
model = dict(_base_.method, **_base_.student)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.run_hooks, *_base_.method_hooks]
