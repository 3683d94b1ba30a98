"""Supervised baseline with 1 % of the labels of COCO.

Published AP: 12.20 (DTG paper), 9.05 (certainty-aware paper).
"""

_base_ = "./supervised_frcnn_r50_180k_coco_p10.py"

percent = 1
