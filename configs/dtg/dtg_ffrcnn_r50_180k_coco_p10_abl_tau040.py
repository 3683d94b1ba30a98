"""DTG: threshold 0.40 in the R-CNN stage (table 5).

Published AP: 35.8.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rcnn=dict(tau=0.40)))
