"""Mean teacher: DINO R50, 10 % of the labels of COCO, with MixPL's settings.

Command: tools/dist_train.sh mean_teacher/mean_teacher_dino_r50_coco.py 8
Published AP: 44.6 with mosaics and mixup, see the row coco_detectors:dino_mixed.
"""

_base_ = [
    "../_base_/detr_r50.py",
    "../_base_/coco.py",
    "./mean_teacher.py",
]

views = _base_.mixpl_views
model = dict(detector=_base_.dino, semi_train_cfg=_base_.mixpl_teaching)
optim_wrapper = _base_.dino_optimiser
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
# Of 8 GPUs x (1 labelled + 4 unlabelled images), as in MixPL.
default_hooks = dict(teacher=dict(momentum=0.9998))
