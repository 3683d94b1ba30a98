"""Supervised baseline: focal Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_faster-rcnn-focal_r50_coco.py 8
Published AP: 26.8 (DTG paper, table 2a; whether by focal loss is not said).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "../_base_/runtime.py",
]

max_iters = 180_000
views = dict(preset="dtg")
model = _base_.detector
model.roi_head.bbox_head = _base_.focal_head
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
