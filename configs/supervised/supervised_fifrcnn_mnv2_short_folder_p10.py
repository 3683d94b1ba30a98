"""Supervised on your own data: focal interval Faster R-CNN, 10 % of the labels.

Command: python tools/train.py supervised/supervised_fifrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "./supervised_frcnn_mnv2_short_folder_p10.py",
    "../_base_/heads/focal_interval_few_labels.py",
]

model = _base_.head
