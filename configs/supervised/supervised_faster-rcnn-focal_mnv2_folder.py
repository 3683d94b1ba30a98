"""Supervised baseline on your own data: tiny focal Faster R-CNN, 10 % labels.

Command: python tools/train.py
         supervised/supervised_faster-rcnn-focal_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short.py",
]

model = _base_.detector
model.roi_head.bbox_head = _base_.focal_head
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
