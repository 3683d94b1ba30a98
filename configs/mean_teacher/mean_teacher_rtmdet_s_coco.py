"""Mean teacher: RTMDet-s, 10 % of the labels of COCO.

Command: tools/dist_train.sh mean_teacher/mean_teacher_rtmdet_s_coco.py 8
Published AP: none for this plain baseline.
"""

_base_ = [
    "../_base_/one_stage_s.py",
    "../_base_/coco.py",
    "./mean_teacher.py",
]

max_iters = 90_000
lr_steps = [2 / 3, 8 / 9]
views = _base_.small_views
pretrained = _base_.rtmdet_weights
# One-stage scores are lower than softmax scores of the same precision.
model = dict(
    detector=_base_.rtmdet,
    semi_train_cfg=dict(unsup_weight=2.0, burn_in=20_000, score_thr=0.5),
)
optim_wrapper = _base_.rtmdet_optimiser
param_scheduler = _base_.warm_up_and_steps
# 8 GPUs x (8 labelled + 8 unlabelled images).
train_dataloader = dict(
    batch_size=16,
    num_workers=8,
    sampler=dict(source_ratio=[1, 1]),
    dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]),
)
auto_scale_lr = dict(base_batch_size=128)
