"""Supervised baseline: Faster R-CNN R50-FPN, all labels of COCO train2017 ("3x").

Command: tools/dist_train.sh supervised/supervised_frcnn_r50_270k_coco_full.py 8
Published AP: 40.2 (certainty-aware paper).
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/data/coco_full_soft_teacher.py",
    "../_base_/schedules/270k.py",
    "../_base_/methods/supervised.py",
]

percent = 100
model = _base_.student.detector
train_dataloader = dict(batch_size=2, dataset=dict(datasets=_base_.supervised_sources))
optim_wrapper = dict(optimizer=dict(lr=0.02))
auto_scale_lr = dict(base_batch_size=16)
