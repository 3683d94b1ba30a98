"""Supervised baseline: Faster R-CNN R50-FPN on VOC07 trainval, tested on VOC07 test.

Command: tools/dist_train.sh supervised/supervised_faster-rcnn_r50_voc.py 8
Published AP50: 76.3 (certainty-aware), 72.20 (LER/PRC), 69.71 (DTG); AP: 42.40, 42.49
(the last two).
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "../_base_/runtime.py",
]

max_iters = 72_000
views = dict(preset="soft_teacher")
model = _base_.detector
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled]))
train_cfg = dict(val_interval=4_000)
