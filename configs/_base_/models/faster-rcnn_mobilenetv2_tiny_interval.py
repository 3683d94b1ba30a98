"""The tiny Faster R-CNN on MobileNetV2 with box sides as intervals."""

_base_ = "./faster-rcnn_mobilenetv2_tiny.py"

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
