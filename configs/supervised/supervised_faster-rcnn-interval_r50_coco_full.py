"""Faster R-CNN R50-FPN with the interval box head, all labels of COCO.

Command: tools/dist_train.sh
         supervised/supervised_faster-rcnn-interval_r50_coco_full.py 8
Published AP: none with this head; 37.9 with the plain one (certainty-aware paper).
The paper's first phase: its checkpoint is the teacher of the second. For the schedule
called 3x add --cfg-options max_iters=540000.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco_full.py",
    "../_base_/runtime.py",
]

max_iters = 180_000
views = dict(preset="flip_cutout")
model = _base_.detector
model.roi_head.bbox_head = _base_.interval_head
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
