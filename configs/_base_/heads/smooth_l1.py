"""Plain box head with smooth L1, what a Gaussian head's KL loss is compared with."""

head = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_bbox=dict(
                _delete_=True, type="SmoothL1Loss", beta=1.0, loss_weight=1.0
            )
        )
    )
)
