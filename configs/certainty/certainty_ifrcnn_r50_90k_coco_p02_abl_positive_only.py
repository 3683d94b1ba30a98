"""Ablation: the interval loss as eq. 3 prints it, positive term alone."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

model = dict(detector=dict(roi_head=dict(bbox_head=dict(positive_only=True))))
teacher_options = {"model.roi_head.bbox_head.positive_only": True}
