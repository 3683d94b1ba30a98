"""Ablation: boxes by smooth L1 in place of L1, to compare a Gaussian head with.

Command: tools/train.py
         supervised/supervised_frcnn_mnv2_short_folder_p10_abl_smooth_l1.py
"""

_base_ = ["./supervised_frcnn_mnv2_short_folder_p10.py", "../_base_/heads/smooth_l1.py"]

model = _base_.head
