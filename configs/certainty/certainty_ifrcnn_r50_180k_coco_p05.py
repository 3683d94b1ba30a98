"""Certainty-aware pseudo labels with 5 % of the labels of COCO."""

_base_ = "./certainty_ifrcnn_r50_180k_coco_p10.py"

percent = 5
teacher_config = "supervised/supervised_ifrcnn_r50_30k_coco_p05.py"
