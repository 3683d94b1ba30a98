"""Ablation: one loss weight for all classes."""

_base_ = "./certainty_ifrcnn_mnv2_short_folder_p10.py"

model = dict(class_balance=dict(g2=0.0))
