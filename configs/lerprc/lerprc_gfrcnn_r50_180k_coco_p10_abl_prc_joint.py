"""Ablation: PRC over all candidates, one normaliser for both groups."""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(prc=dict(cls_norm="joint"))
