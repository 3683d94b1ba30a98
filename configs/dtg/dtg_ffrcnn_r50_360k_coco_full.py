"""DTG: focal Faster R-CNN R50-FPN, all labels of COCO and unlabeled2017.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_360k_coco_full.py 8
Published AP: 44.7 (table 2e).
Batch and weight: 8 GPUs x 8 images, 1:1, unsupervised weight 2.
"""

_base_ = ["../_base_/recipes/dtg_coco_full.py", "../_base_/schedules/360k.py"]
