"""LER and PRC with 5 % of the labels of COCO.

Published AP: 30.70.
"""

_base_ = "./lerprc_gfrcnn_r50_180k_coco_p10.py"

percent = 5
