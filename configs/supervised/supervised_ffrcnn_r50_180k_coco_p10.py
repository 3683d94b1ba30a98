"""Supervised baseline: focal Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_ffrcnn_r50_180k_coco_p10.py 8
Published AP: 26.8 (DTG paper, table 2a; whether by focal loss is not said).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_focal.py",
    "../_base_/data/coco_partial_dtg.py",
    "../_base_/schedules/180k.py",
    "../_base_/methods/supervised.py",
]

percent = 10
model = _base_.student.detector
train_dataloader = dict(dataset=dict(datasets=_base_.supervised_sources))
