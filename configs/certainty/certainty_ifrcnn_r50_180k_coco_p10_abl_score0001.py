"""Ablation: final score threshold 0.001 in place of 0.05 (table 2)."""

_base_ = "./certainty_ifrcnn_r50_180k_coco_p10.py"

model = dict(detector=dict(test_cfg=dict(rcnn=dict(score_thr=0.001))))
