"""Mean teacher: FCOS R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh mean_teacher/mean_teacher_fcos_r50_180k_coco_p10.py 8
Published AP: none for this plain baseline; see the table in README.md.
"""

_base_ = [
    "../_base_/models/fcos_r50_fpn.py",
    "../_base_/data/coco_partial_soft_teacher.py",
    "../_base_/schedules/180k_one_stage.py",
    "../_base_/methods/mean_teacher.py",
]

percent = 10
# One-stage scores are lower than softmax scores of the same precision.
model = dict(_base_.student, semi_train_cfg=dict(score_thr=0.5))
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
