"""Faster R-CNN R50-FPN, classifying RoIs by sigmoid focal loss."""

_base_ = ["./faster-rcnn_r50_fpn.py", "../heads/focal.py"]

student = dict(detector=dict(roi_head=dict(bbox_head=_base_.box_head)))
