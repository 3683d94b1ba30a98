"""Ablation: no class balance."""

_base_ = "./certainty_ifrcnn_mnv2_short_folder_p10.py"

model = dict(class_balance=dict(g1=0.0, g2=0.0))
