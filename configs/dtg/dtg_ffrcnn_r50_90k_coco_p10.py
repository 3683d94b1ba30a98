"""DTG on half the iterations (table 2e): 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_90k_coco_p10.py 8
Published AP: 33.7 (table 2e; 36.3 with 180k iterations).
"""

_base_ = ["../_base_/recipes/dtg_coco_partial.py", "../_base_/schedules/90k.py"]

percent = 10
