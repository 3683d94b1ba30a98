"""Certainty-aware pseudo labels: 10 % of the labels of COCO.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_180k_coco_p10.py --nproc 4
Published AP: 31.67 (table 2).
Batch as in the paper: 4 GPUs x 2 images.
Another fold: add `--fold 2`; another ratio: the config of that ratio.
"""

_base_ = ["../_base_/recipes/certainty_coco_partial.py", "../_base_/schedules/180k.py"]

percent = 10
teacher_config = "supervised/supervised_ifrcnn_r50_60k_coco_p10.py"
