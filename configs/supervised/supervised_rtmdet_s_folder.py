"""Supervised baseline on your own data: RTMDet-s, 10 % of the labels.

Command: python tools/train.py
         supervised/supervised_rtmdet_s_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
WEIGHTS: cspnext-s_imagenet_600e.pth, see `rtmdet_weights` in one_stage_s.py.
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/one_stage_s.py",
    "../_base_/short.py",
]

model = _base_.rtmdet
optim_wrapper = dict(_base_.rtmdet_short_optimiser, _delete_=True)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
