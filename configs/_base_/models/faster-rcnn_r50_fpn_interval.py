"""Faster R-CNN R50-FPN with box sides as intervals: the certainty-aware detector."""

_base_ = ["./faster-rcnn_r50_fpn.py", "../heads/interval.py"]

student = dict(detector=dict(roi_head=dict(bbox_head=_base_.box_head)))
