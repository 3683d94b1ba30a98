"""Cascade R-CNN R50-FPN with box sides as intervals in every stage."""

_base_ = "./cascade-rcnn_r50_fpn.py"

model = dict(
    roi_head=dict(
        bbox_head=[
            dict(
                head,
                type="IntervalBBoxHead",
                num_intervals=30,
                score_factor="p*v",
                # Of the plain head; the interval head has its own.
                bbox_coder=None,
                loss_bbox=None,
            )
            for head in _base_.model.roi_head.bbox_head
        ]
    )
)
