"""Ablation: LER over all sampled candidates, MMDetection's normaliser."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(ler=dict(reg_norm="sampled", gain=1.0))
