"""DTG: candidates that score 0.2 to 0.45 teach nothing, not background.

Published AP: none.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(dense=dict(rcnn=dict(ignore_thr=0.2)))
