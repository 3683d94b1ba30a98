"""Faster R-CNN R50-FPN with Gaussian boxes: the detector of LER/PRC."""

_base_ = "./faster-rcnn_r50_fpn.py"

model = dict(
    roi_head=dict(
        bbox_head=dict(
            type="GaussianBBoxHead",
            quality_on="variance",
            # The loss of pseudo labels; true boxes train the KL loss.
            loss_bbox=dict(type="SmoothL1Loss", beta=1.0),
        )
    )
)
