"""Ablation: qualities doubled, so that they span (0, 1)."""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(ler=dict(gain=2.0), prc=dict(gain=2.0))
