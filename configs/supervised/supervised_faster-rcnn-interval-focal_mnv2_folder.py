"""Interval Faster R-CNN that classifies RoIs by focal loss, on your own data.

Command: python tools/train.py
         supervised/supervised_faster-rcnn-interval-focal_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
The first phase of dtg_faster-rcnn-interval_mnv2_folder.
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short.py",
]

model = _base_.detector
model.roi_head.bbox_head = _base_.interval_focal_head
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
