"""DTG: weight of rank matching 1 (table 3b; T = 1 of table 3a).

Published AP: 35.8.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rpn=dict(rank_weight=1.0), rcnn=dict(rank_weight=1.0)))
