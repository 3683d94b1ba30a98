"""Faster R-CNN R50-FPN with Gaussian boxes: the detector of LER/PRC."""

_base_ = ["./faster-rcnn_r50_fpn.py", "../heads/gaussian.py"]

student = dict(detector=_base_.head)
