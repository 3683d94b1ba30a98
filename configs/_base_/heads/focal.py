"""Box head that classifies RoIs by sigmoid focal loss."""

head = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(_delete_=True, type="FocalRoILoss", gamma=2.0, alpha=0.25),
            cls_predictor_cfg=dict(type="PriorLinear", prior=0.01),
        )
    )
)
