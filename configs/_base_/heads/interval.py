"""Box head of box sides as intervals."""

head = dict(
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
