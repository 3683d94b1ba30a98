"""DTG: the sparse-to-dense baseline: pseudo boxes and assignment (table 2c).

Published AP: 34.5.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rpn=dict(mode="sparse"), rcnn=dict(mode="sparse")))
