"""Certainty-aware pseudo labels: VOC07 labelled, VOC12 and COCO-20
unlabelled.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_90k_voc_coco20.py --nproc 4
Published AP: 54.0 (table 1c).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = [
    "./certainty_ifrcnn_r50_90k_voc.py",
    "../_base_/datasets/coco20.py",
]

coco20 = dict(_base_.unlabelled_coco20, pipeline=_base_.unsup_pipeline)
train_dataloader = dict(dataset=dict(datasets=[*_base_.semi_sources, coco20]))
custom_hooks = [*_base_.custom_hooks[:-2], *_base_.unjudged_hooks]
