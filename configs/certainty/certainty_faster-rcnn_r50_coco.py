"""Certainty-aware pseudo labels: 10 % of the labels of COCO.

Command: python tools/train_phases.py
         certainty/certainty_faster-rcnn_r50_coco.py --nproc 4
Published AP: 31.67 (table 2).
Batch as in the paper: 4 GPUs x 2 images.
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "./certainty.py",
]

max_iters = 180_000
teacher_config = "supervised/supervised_faster-rcnn-interval_r50_coco.py"
_base_.detector.roi_head.bbox_head = _base_.interval_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
