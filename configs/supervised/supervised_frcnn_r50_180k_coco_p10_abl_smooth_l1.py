"""Ablation: boxes by smooth L1 in place of L1, to compare a Gaussian head with.

Command: tools/dist_train.sh
         supervised/supervised_frcnn_r50_180k_coco_p10_abl_smooth_l1.py 8
"""

_base_ = ["./supervised_frcnn_r50_180k_coco_p10.py", "../_base_/heads/smooth_l1.py"]

model = _base_.head
