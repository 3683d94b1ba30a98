"""Faster R-CNN R50-FPN, classifying RoIs by sigmoid focal loss."""

_base_ = ["./faster-rcnn_r50_fpn.py", "../heads/focal.py"]

student = dict(detector=_base_.head)
