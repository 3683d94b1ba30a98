"""DTG: focal Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_180k_coco_p10.py 8
Published AP: 35.92 (table 1; 36.3 on the single fold of the ablations).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = ["../_base_/recipes/dtg_coco_partial.py", "../_base_/schedules/180k.py"]

percent = 10
