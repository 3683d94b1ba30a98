"""Certainty-aware pseudo labels: all labels of COCO and unlabeled2017.

Command: python tools/train_phases.py
         certainty/certainty_faster-rcnn_r50_coco_full.py --nproc 4
Published AP: 41.0 (table 1a); 43.3 with the schedule called 3x, the row certainty_3x of
the sweep coco_full.
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco_full.py",
    "./certainty.py",
]

max_iters = 180_000
teacher_config = "supervised/supervised_faster-rcnn-interval_r50_coco_full.py"
_base_.detector.roi_head.bbox_head = _base_.interval_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
