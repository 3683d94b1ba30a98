"""Ablation: LER's qualities doubled, so that they span (0, 1)."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(ler=dict(gain=0.5))
