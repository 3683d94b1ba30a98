"""Box head of box sides as intervals that classifies by focal loss, for few labels."""

_base_ = "./interval_few_labels.py"

head = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(_delete_=True, type="FocalRoILoss"),
            cls_predictor_cfg=dict(type="PriorLinear"),
        )
    )
)
