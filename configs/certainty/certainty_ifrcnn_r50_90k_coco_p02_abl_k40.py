"""Ablation: 40 intervals (table 8)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

model = dict(detector=dict(roi_head=dict(bbox_head=dict(num_intervals=40))))
teacher_options = {"model.roi_head.bbox_head.num_intervals": 40}
