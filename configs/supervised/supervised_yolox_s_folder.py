"""Supervised baseline on your own data: YOLOX-s, 10 % of the labels.

Command: python tools/train.py
         supervised/supervised_yolox_s_folder.py
         --cfg-options data_root=DATA
All is trained, from random weights: this wants many labels or iterations.
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/one_stage_s.py",
    "../_base_/short.py",
]

model = _base_.yolox
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
