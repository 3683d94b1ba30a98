"""Cascade R-CNN R50-FPN with Gaussian boxes in every stage."""

_base_ = "./cascade-rcnn_r50_fpn.py"

model = dict(
    roi_head=dict(
        bbox_head=[
            dict(
                head,
                type="GaussianBBoxHead",
                quality_on="variance",
                # The loss of pseudo labels; true boxes train the KL loss.
                loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
            )
            for head in _base_.model.roi_head.bbox_head
        ]
    )
)
