"""Supervised baseline: Faster R-CNN R50-FPN, all labels of COCO train2017.

Command: tools/dist_train.sh supervised/supervised_faster-rcnn_r50_coco_full.py 8
Published AP: 37.9 (certainty-aware paper), 40.9 (DTG paper); with the schedule called
3x, --cfg-options max_iters=270000, 40.2 (certainty-aware paper).
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco_full.py",
    "../_base_/runtime.py",
]

max_iters = 90_000
views = dict(preset="soft_teacher")
model = _base_.detector
train_dataloader = dict(batch_size=2, dataset=dict(datasets=[_base_.labelled]))
optim_wrapper = dict(optimizer=dict(lr=0.02))
auto_scale_lr = dict(base_batch_size=16)
