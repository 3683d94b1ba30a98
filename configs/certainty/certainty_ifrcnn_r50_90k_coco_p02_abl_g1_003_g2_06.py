"""Ablation: exponents 0.03 of thresholds and 0.6 of weights (table 9)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

model = dict(class_balance=dict(g1=0.03, g2=0.6))
