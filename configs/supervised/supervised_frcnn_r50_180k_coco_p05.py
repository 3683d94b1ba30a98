"""Supervised baseline with 5 % of the labels of COCO.

Published AP: 21.17 (DTG paper), 18.47 (certainty-aware paper).
"""

_base_ = "./supervised_frcnn_r50_180k_coco_p10.py"

percent = 5
