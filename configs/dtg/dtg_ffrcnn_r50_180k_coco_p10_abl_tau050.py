"""DTG: threshold 0.50 in the R-CNN stage (table 5).

Published AP: 33.9.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rcnn=dict(tau=0.50)))
