"""Certainty-aware pseudo labels without certainty: the plain box head (table 6).

Command: python tools/train_phases.py
         certainty/certainty_faster-rcnn-plain_r50_coco.py --nproc 4
2 % of the labels of COCO and half the schedule, as in the ablations of the paper.
Batch as there: 4 GPUs x 2 images.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "./certainty.py",
]

percent = 2
max_iters = 90_000
teacher_config = "supervised/supervised_faster-rcnn_r50_coco.py"
# The first phase that the interval head has at 2 %.
teacher_options = {
    "max_iters": 12_000,
    "views.preset": "flip_cutout",
    "train_cfg.val_interval": 1_000,
}
model = dict(detector=_base_.detector, class_balance=dict(use_loc=False))
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
