"""Ablation: PRC by the teacher's probability alone."""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(prc=dict(quality=False))
