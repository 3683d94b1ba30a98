"""LER and PRC: Gaussian Faster R-CNN R50-FPN, all labels of COCO and unlabeled2017.

Command: tools/dist_train.sh lerprc/lerprc_faster-rcnn_r50_coco_full.py 2
Published AP: 43.20. Iterations as section 4.2 prints them for "the MS COCO datasets";
the row lerprc_720k of the sweep coco_full has those of Soft Teacher.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco_full.py",
    "./lerprc.py",
]

max_iters = 180_000
_base_.detector.roi_head.bbox_head = _base_.gaussian_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
default_hooks = dict(checkpoint=dict(interval=10_000))
