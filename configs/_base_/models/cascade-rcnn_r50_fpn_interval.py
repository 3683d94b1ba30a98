"""Cascade R-CNN R50-FPN with box sides as intervals in every stage."""

_base_ = ["./cascade-rcnn_r50_fpn.py", "../heads/interval.py"]

stages = [
    dict(stage, **_base_.head.roi_head.bbox_head)
    for stage in _base_.student.detector.roi_head.bbox_head
]
student = dict(detector=dict(roi_head=dict(bbox_head=stages)))
