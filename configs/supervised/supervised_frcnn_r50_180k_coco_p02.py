"""Supervised baseline with 2 % of the labels of COCO.

Published AP: 16.53 (DTG paper), 12.70 (certainty-aware paper).
"""

_base_ = "./supervised_frcnn_r50_180k_coco_p10.py"

percent = 2
