"""DTG: clusters teach classes alone (tables 2b, 3c).

Published AP: 32.9.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rcnn=dict(box_target="none", rank_weight=0.0)))
