"""Supervised baseline on your own data: small GFL, 10 % of the labels.

Command: python tools/train.py
         supervised/supervised_gfl_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short.py",
]

model = _base_.gfl
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
