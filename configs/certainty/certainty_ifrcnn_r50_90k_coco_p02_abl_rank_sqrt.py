"""Ablation: ranked by the geometric mean of probability and certainty."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

score_factor = "sqrt(p*v)"
model = dict(detector=dict(roi_head=dict(bbox_head=dict(score_factor=score_factor))))
