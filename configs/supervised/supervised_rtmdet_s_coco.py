"""Supervised baseline: RTMDet-s, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_rtmdet_s_coco.py 8
Published AP: none that we compare with.
"""

_base_ = [
    "../_base_/one_stage_s.py",
    "../_base_/coco.py",
    "../_base_/runtime.py",
]

max_iters = 90_000
lr_steps = [2 / 3, 8 / 9]
views = _base_.small_views
pretrained = _base_.rtmdet_weights
model = _base_.rtmdet
optim_wrapper = _base_.rtmdet_optimiser
param_scheduler = _base_.warm_up_and_steps
train_dataloader = dict(
    batch_size=8, num_workers=8, dataset=dict(datasets=[_base_.labelled])
)
auto_scale_lr = dict(base_batch_size=64)
