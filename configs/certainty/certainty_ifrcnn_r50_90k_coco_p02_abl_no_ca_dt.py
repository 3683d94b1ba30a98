"""Ablation: re-weighting alone (table 6)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02_abl_no_ca.py"

model = dict(class_balance=dict(g1=0.0))
