"""DTG: the RPN alone learns from unlabelled images (tables 2a, 2b).

Published AP: 28.5.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rcnn=dict(mode="off")))
