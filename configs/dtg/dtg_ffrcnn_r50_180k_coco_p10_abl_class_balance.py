"""DTG: thresholds and weights by class, as in the certainty-aware method.

Published AP: none.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

model = dict(class_balance=dict(type="ClassBalance", use_loc=False))
