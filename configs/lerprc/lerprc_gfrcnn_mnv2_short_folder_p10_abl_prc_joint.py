"""Ablation: PRC over all candidates, one normaliser for both groups."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(prc=dict(cls_norm="joint"))
