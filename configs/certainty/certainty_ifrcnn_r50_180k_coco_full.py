"""Certainty-aware pseudo labels: all labels of COCO and unlabeled2017.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_180k_coco_full.py --nproc 4
Published AP: 41.0 (table 1a).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = ["../_base_/recipes/certainty_coco_full.py", "../_base_/schedules/180k.py"]

teacher_config = "supervised/supervised_ifrcnn_r50_180k_coco_full.py"
