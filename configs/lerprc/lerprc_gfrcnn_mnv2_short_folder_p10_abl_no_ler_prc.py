"""Ablation: neither LER nor PRC, the teacher-student baseline."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(ler=None, prc=None)
