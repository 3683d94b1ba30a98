"""Ablation: PRC by the teacher's probability alone."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(prc=dict(quality=False))
