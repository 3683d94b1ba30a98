"""Faster R-CNN R50-FPN with the interval box head, VOC07 trainval, tested on test.

Command: tools/dist_train.sh supervised/supervised_ifrcnn_r50_10k_voc.py 8
Published AP: none with this head.
The first phase of the certainty-aware paper: its checkpoint is the teacher.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_interval.py",
    "../_base_/data/voc_flip_cutout.py",
    "../_base_/schedules/10k.py",
    "../_base_/methods/supervised.py",
]

percent = 100
_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = _base_.student.detector
train_dataloader = dict(dataset=dict(datasets=_base_.supervised_sources))
