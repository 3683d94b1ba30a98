"""Ablation: with the class balance of the certainty-aware method."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(class_balance=dict(type="ClassBalance"))
