"""Ablation: score threshold 0.9.

Published AP: 32.60, AP50 51.90, AP75 34.90.
"""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(semi_train_cfg=dict(score_thr=0.9))
