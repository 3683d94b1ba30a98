"""Faster R-CNN R50-FPN with Gaussian boxes: the detector of LER/PRC."""

_base_ = ["./faster-rcnn_r50_fpn.py", "../heads/gaussian.py"]

student = dict(detector=dict(roi_head=dict(bbox_head=_base_.box_head)))
