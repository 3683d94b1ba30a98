"""Ablation: neither LER nor PRC, the teacher-student baseline."""

_base_ = "./lerprc_gfrcnn_r18_short_shapes_p05.py"

model = dict(ler=None, prc=None)
