"""Ablation: neither LER nor PRC, the teacher-student baseline.

Published AP: 31.50, AP50 50.80, AP75 33.80.
"""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(ler=None, prc=None)
