"""Ablation: LER's normaliser without its weights."""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(ler=dict(quality=False))
