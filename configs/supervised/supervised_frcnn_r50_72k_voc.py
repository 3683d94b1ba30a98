"""Supervised baseline: Faster R-CNN R50-FPN on VOC07 trainval, tested on VOC07 test.

Command: tools/dist_train.sh supervised/supervised_frcnn_r50_72k_voc.py 8
Published AP50: 76.3 (certainty-aware), 72.20 (LER/PRC), 69.71 (DTG); AP: 42.40, 42.49
(the last two).
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/data/voc_soft_teacher.py",
    "../_base_/schedules/72k.py",
    "../_base_/methods/supervised.py",
]

percent = 100
_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = _base_.student.detector
train_dataloader = dict(dataset=dict(datasets=_base_.supervised_sources))
