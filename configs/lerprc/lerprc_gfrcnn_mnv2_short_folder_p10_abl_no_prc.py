"""Ablation: without PRC, LER alone."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(prc=None)
