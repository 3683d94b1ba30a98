"""Certainty-aware pseudo labels: VOC07 labelled, VOC12 unlabelled.

Command: python tools/train_phases.py
         certainty/certainty_faster-rcnn_r50_voc.py --nproc 4
Published AP: 52.4 (table 1b).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "./certainty.py",
]

max_iters = 90_000
views = dict(scale=(1333, 600), test_scale=(1333, 600))
teacher_config = "supervised/supervised_faster-rcnn-interval_r50_voc.py"
_base_.detector.roi_head.bbox_head = _base_.interval_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
