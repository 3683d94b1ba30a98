"""Faster R-CNN R50-FPN with box sides as intervals: the certainty-aware detector."""

_base_ = ["./faster-rcnn_r50_fpn.py", "../heads/interval.py"]

student = dict(detector=_base_.head)
