"""DTG: dense guidance of the R-CNN stage alone (table 2c).

Published AP: 35.5.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rpn=dict(mode="sparse")))
