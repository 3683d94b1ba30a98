"""DTG: focal Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh dtg/dtg_faster-rcnn_r50_voc.py 8
Published: AP50 79.20, AP 53.18 (table 4).
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "./dtg.py",
]

max_iters = 90_000
_base_.detector.roi_head.bbox_head = _base_.focal_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
