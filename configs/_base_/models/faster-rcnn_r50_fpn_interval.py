"""Faster R-CNN R50-FPN with box sides as intervals: the certainty-aware detector."""

_base_ = "./faster-rcnn_r50_fpn.py"

model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="IntervalBBoxHead",
            num_intervals=30,
            score_factor="p*v",
            # Of the plain head; the interval head has its own.
            bbox_coder=None,
            loss_bbox=None,
        )
    )
)
