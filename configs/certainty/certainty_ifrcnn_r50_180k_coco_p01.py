"""Certainty-aware pseudo labels with 1 % of the labels of COCO."""

_base_ = "./certainty_ifrcnn_r50_180k_coco_p10.py"

percent = 1
teacher_config = "supervised/supervised_ifrcnn_r50_6k_coco_p01.py"
