"""Mean teacher: Cascade R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh mean_teacher/mean_teacher_cascade_r50_180k_coco_p10.py 8
Published AP: none for this plain baseline; see the table in README.md.
"""

_base_ = [
    "../_base_/models/cascade-rcnn_r50_fpn.py",
    "../_base_/data/coco_partial_soft_teacher.py",
    "../_base_/schedules/180k.py",
    "../_base_/methods/mean_teacher.py",
]

percent = 10
model = _base_.student
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
