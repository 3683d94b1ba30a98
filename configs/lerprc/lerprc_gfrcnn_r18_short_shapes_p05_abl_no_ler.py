"""Ablation: without LER, PRC alone."""

_base_ = "./lerprc_gfrcnn_r18_short_shapes_p05.py"

model = dict(ler=None)
