"""Faster R-CNN R50-FPN with the interval box head, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_faster-rcnn-interval_r50_coco.py 8
Published AP: none with this head; with the plain one 9.05, 12.70, 18.47, 23.86 at 1, 2,
5, 10 % (certainty-aware paper).
The paper's first phase: its checkpoint is the teacher of the second.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "../_base_/runtime.py",
]

max_iters = {1: 6_000, 2: 12_000, 5: 30_000, 10: 60_000}  # by percent
views = dict(preset="flip_cutout")
model = _base_.detector
model.roi_head.bbox_head = _base_.interval_head
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
train_cfg = dict(val_interval=1 / 12)
