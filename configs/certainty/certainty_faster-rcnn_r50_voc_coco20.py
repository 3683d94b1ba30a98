"""Certainty-aware pseudo labels: VOC07 labelled, VOC12 and COCO-20 unlabelled.

Command: python tools/train_phases.py
         certainty/certainty_faster-rcnn_r50_voc_coco20.py --nproc 4
Published AP: 54.0 (table 1c).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "./certainty.py",
]

max_iters = 90_000
views = dict(scale=(1333, 600), test_scale=(1333, 600))
# Pseudo labels are drawn, not judged: nobody knows all true boxes of these images.
hidden_ann_file = None
# One source, so that the unlabelled images come from the union.
unlabelled = dict(
    type="SeededConcatDataset", datasets=[_base_.unlabelled, _base_.coco20]
)
teacher_config = "supervised/supervised_faster-rcnn-interval_r50_voc.py"
_base_.detector.roi_head.bbox_head = _base_.interval_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, unlabelled]))
