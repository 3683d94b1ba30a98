"""Faster R-CNN R50-FPN with the interval box head, VOC07 trainval, tested on test.

Command: tools/dist_train.sh supervised/supervised_faster-rcnn-interval_r50_voc.py 8
Published AP: none with this head.
The first phase of the certainty-aware paper: its checkpoint is the teacher.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "../_base_/runtime.py",
]

max_iters = 10_000
views = dict(preset="flip_cutout", scale=(1333, 600), test_scale=(1333, 600))
model = _base_.detector
model.roi_head.bbox_head = _base_.interval_head
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
train_cfg = dict(val_interval=1_000)
