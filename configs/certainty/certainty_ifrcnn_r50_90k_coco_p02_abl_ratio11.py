"""Ablation: labelled and unlabelled images 1:1."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

model = dict(semi_train_cfg=dict(weight_by_images=False))
train_dataloader = dict(sampler=dict(source_ratio=[1, 1]))
