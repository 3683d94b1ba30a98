"""DTG: each candidate learns its own teacher box, no ranks (table 3c).

Published AP: 34.3.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rcnn=dict(box_target="own", rank_weight=0.0)))
