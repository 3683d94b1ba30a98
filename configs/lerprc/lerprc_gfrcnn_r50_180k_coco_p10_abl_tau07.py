"""Ablation: score threshold 0.7.

Published AP: 33.30, AP50 53.30, AP75 35.70.
"""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

model = dict(semi_train_cfg=dict(score_thr=0.7))
