"""Variant: burn-in and ramp of 2,000 iterations each, as the mean teacher has them."""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(semi_train_cfg=dict(burn_in=2000, ramp_iters=2000))
