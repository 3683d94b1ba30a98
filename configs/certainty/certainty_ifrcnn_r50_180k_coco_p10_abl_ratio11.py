"""Variant: as many labelled as unlabelled images in a batch, in place of their union.

By the union the labelled loss weighs a hundredth to a tenth of a step.
"""

_base_ = "./certainty_ifrcnn_r50_180k_coco_p10.py"

model = dict(semi_train_cfg=dict(weight_by_images=False))
train_dataloader = dict(sampler=dict(source_ratio=[1, 1]))
