"""DTG with 1 % of the labels of COCO.

Published AP: 21.27 (table 1).
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

percent = 1
