"""Ablation: RoIs are classified by focal loss, as DTG does."""

_base_ = "./supervised_ifrcnn_mnv2_short_folder_p10.py"

model = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(
                _delete_=True, type="FocalRoILoss", norm="all", loss_weight=4.0
            ),
            cls_predictor_cfg=dict(type="PriorLinear", prior=0.1),
        )
    )
)
