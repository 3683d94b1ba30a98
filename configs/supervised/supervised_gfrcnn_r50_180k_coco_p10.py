"""Supervised baseline: Gaussian Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_gfrcnn_r50_180k_coco_p10.py 8
Published AP: none; compare with supervised_frcnn_r50_180k_coco_p10.
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = ["./supervised_frcnn_r50_180k_coco_p10.py", "../_base_/heads/gaussian.py"]

model = _base_.head
