"""Mean teacher: Faster R-CNN R50-FPN, all labels of COCO and unlabeled2017.

Command: tools/dist_train.sh mean_teacher/mean_teacher_frcnn_r50_720k_coco_full.py 8
Published AP: none for this plain baseline; see the table in README.md.
Batch and weight as in Soft Teacher: 8 GPUs x 8 images, 1:1, unsupervised weight 2.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/data/coco_full_soft_teacher.py",
    "../_base_/schedules/720k.py",
    "../_base_/methods/mean_teacher_full.py",
]

percent = 100
model = _base_.student
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
