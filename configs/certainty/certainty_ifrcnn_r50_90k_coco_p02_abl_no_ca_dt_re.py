"""Ablation: plain pseudo labels, the paper's baseline (table 6)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02_abl_no_ca.py"

model = dict(class_balance=dict(g1=0.0, g2=0.0))
