"""Box head of Gaussian boxes."""

head = dict(
    roi_head=dict(
        bbox_head=dict(
            type="GaussianBBoxHead",
            quality_on="variance",
            # The loss of pseudo labels; true boxes train the KL loss.
            loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
        )
    )
)
