"""Ablation: score threshold 0.6.

Published AP: 32.90, AP50 52.70, AP75 35.10.
"""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(semi_train_cfg=dict(score_thr=0.6))
