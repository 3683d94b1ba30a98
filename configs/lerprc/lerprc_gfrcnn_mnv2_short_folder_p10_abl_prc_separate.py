"""Ablation: PRC as printed, each group of candidates divided by its own number."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

model = dict(prc=dict(cls_norm="separate", gain=1.0))
