"""Supervised baseline: Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_faster-rcnn_r50_coco.py 8
Published AP at 1, 2, 5, 10 %: 12.20, 16.53, 21.17, 26.90 (DTG paper); 9.05, 12.70,
18.47, 23.86 (certainty-aware paper).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "../_base_/runtime.py",
]

max_iters = 180_000
views = dict(preset="soft_teacher")
model = _base_.detector
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
