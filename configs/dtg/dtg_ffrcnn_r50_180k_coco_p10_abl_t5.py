"""DTG: temperature 5 of rank matching, weight 1 (table 3a).

Published AP: 35.6.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

stage = dict(temperature=5.0, rank_weight=1.0)
model = dict(dense=dict(rpn=stage, rcnn=stage))
