"""Supervised baseline on your own data: tiny Faster R-CNN, 10 % of the labels.

Command: python tools/train.py supervised/supervised_frcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/models/faster-rcnn_mobilenetv2_tiny.py",
    "../_base_/data/folder.py",
    "../_base_/schedules/short.py",
    "../_base_/methods/supervised.py",
]

percent = 10
_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = _base_.student.detector
train_dataloader = dict(batch_size=4, dataset=dict(datasets=_base_.supervised_sources))
auto_scale_lr = dict(base_batch_size=4)
default_hooks = _base_.short_hooks
