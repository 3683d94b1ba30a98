"""Supervised baseline on your own data: tiny focal Faster R-CNN, 10 % of the labels.

Command: python tools/train.py supervised/supervised_ffrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "./supervised_frcnn_mnv2_short_folder_p10.py",
    "../_base_/heads/focal_few_labels.py",
]

model = _base_.head
