"""Faster R-CNN R50-FPN with the interval box head, VOC07 trainval, tested on test.

Command: tools/dist_train.sh supervised/supervised_ifrcnn_r50_10k_voc.py 8
Published AP: none with this head.
The first phase of the certainty-aware paper: its checkpoint is the teacher.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_interval.py",
    "../_base_/datasets/voc.py",
    "../_base_/views/flip_cutout_short600.py",
    "../_base_/schedules/10k.py",
    "../_base_/methods/supervised.py",
]

percent = 100

model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))

train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.labelled, pipeline=_base_.supervised_pipeline)]),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
