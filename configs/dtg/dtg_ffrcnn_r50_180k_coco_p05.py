"""DTG with 5 % of the labels of COCO.

Published AP: 31.90 (table 1).
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

percent = 5
