"""Supervised baseline: FCOS R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_fcos_r50_coco.py 8
Published AP: none that we compare with.
"""

_base_ = [
    "../_base_/fcos_r50_fpn.py",
    "../_base_/coco.py",
    "../_base_/runtime.py",
]

max_iters = 180_000
views = dict(preset="soft_teacher")
model = _base_.detector
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
