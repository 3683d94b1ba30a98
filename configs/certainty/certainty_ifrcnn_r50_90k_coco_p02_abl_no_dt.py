"""Ablation: one threshold for all classes (table 6)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

model = dict(class_balance=dict(g1=0.0))
