"""Mean teacher: FCOS R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh mean_teacher/mean_teacher_fcos_r50_coco.py 8
Published AP: none for this plain baseline; see the table in README.md.
"""

_base_ = [
    "../_base_/fcos_r50_fpn.py",
    "../_base_/coco.py",
    "./mean_teacher.py",
]

max_iters = 180_000
# One-stage scores are lower than softmax scores of the same precision.
model = dict(detector=_base_.detector, semi_train_cfg=dict(score_thr=0.5))
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
