"""The tiny Faster R-CNN on ResNet-18 with Gaussian boxes."""

_base_ = "./faster-rcnn_r18_tiny.py"

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
