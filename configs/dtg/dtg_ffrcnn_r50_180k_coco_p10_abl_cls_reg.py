"""DTG: clusters teach classes and kept boxes, no ranks (tables 2b, 3c).

Published AP: 35.1.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rcnn=dict(rank_weight=0.0)))
