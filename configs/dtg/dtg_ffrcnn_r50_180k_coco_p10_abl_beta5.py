"""DTG: weight of rank matching 5 (table 3b).

Published AP: 36.1.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rpn=dict(rank_weight=5.0), rcnn=dict(rank_weight=5.0)))
