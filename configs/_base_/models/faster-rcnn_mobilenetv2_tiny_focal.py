"""The tiny Faster R-CNN on MobileNetV2, classifying RoIs by sigmoid focal loss."""

_base_ = "./faster-rcnn_mobilenetv2_tiny.py"

model = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(_delete_=True, type="FocalRoILoss", gamma=2.0, alpha=0.25),
            cls_predictor_cfg=dict(type="PriorLinear", prior=0.01),
        )
    )
)
