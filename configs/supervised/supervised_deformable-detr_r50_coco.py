"""Supervised baseline: Deformable DETR R50, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_deformable-detr_r50_coco.py 8
Published AP: none that we compare with.
"""

_base_ = [
    "../_base_/detr_r50.py",
    "../_base_/coco.py",
    "../_base_/runtime.py",
]

views = dict(preset="soft_teacher")
model = _base_.deformable_detr
optim_wrapper = _base_.deformable_detr_optimiser
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
