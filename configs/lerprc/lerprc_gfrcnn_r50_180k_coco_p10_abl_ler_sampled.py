"""Ablation: LER over all sampled candidates, MMDetection's normaliser."""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(ler=dict(reg_norm="sampled"))
