"""Ablation: certainty alone, no class balance (table 6)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

model = dict(class_balance=dict(g1=0.0, g2=0.0))
