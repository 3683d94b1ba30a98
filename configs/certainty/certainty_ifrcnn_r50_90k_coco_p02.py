"""Certainty-aware pseudo labels: 2 % of the labels of COCO, half the
schedule: what the paper's ablations change.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_90k_coco_p02.py --nproc 4
Published AP: 22.5 (table 3).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = ["../_base_/recipes/certainty_coco_partial.py", "../_base_/schedules/90k.py"]

percent = 2
teacher_config = "supervised/supervised_ifrcnn_r50_12k_coco_p02.py"
