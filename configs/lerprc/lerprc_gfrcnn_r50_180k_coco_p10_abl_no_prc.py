"""Ablation: without PRC, LER alone.

Published AP: 32.20, AP50 50.60, AP75 35.00.
"""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(prc=None)
