"""Ablation: without LER, PRC alone.

Published AP: 32.50, AP50 51.50, AP75 34.90.
"""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(ler=None)
