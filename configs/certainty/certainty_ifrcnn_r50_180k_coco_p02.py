"""Certainty-aware pseudo labels with 2 % of the labels of COCO."""

_base_ = "./certainty_ifrcnn_r50_180k_coco_p10.py"

percent = 2
teacher_config = "supervised/supervised_ifrcnn_r50_12k_coco_p02.py"
