"""LER and PRC with 1 % of the labels of COCO.

Published AP: 20.10.
"""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

percent = 1
