"""Ablation: class probability alone ranks and counts."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

model = dict(
    detector=dict(roi_head=dict(bbox_head=dict(score_factor="p"))),
    class_balance=dict(use_loc=False),
)
