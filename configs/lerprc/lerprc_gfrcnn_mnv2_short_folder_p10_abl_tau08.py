"""Ablation: score threshold 0.8."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(semi_train_cfg=dict(score_thr=0.8))
