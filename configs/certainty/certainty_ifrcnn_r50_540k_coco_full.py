"""Certainty-aware pseudo labels: all labels of COCO and unlabeled2017, 3x.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_540k_coco_full.py --nproc 4
Published AP: 43.3 (table 1a).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = ["../_base_/recipes/certainty_coco_full.py", "../_base_/schedules/540k.py"]

teacher_config = "supervised/supervised_ifrcnn_r50_540k_coco_full.py"
