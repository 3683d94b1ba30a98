"""Faster R-CNN on a half-width ResNet-18, for images of about 160 px."""

_base_ = ["./faster-rcnn_tiny.py", "./resnet18_tiny.py"]

detector = dict(
    backbone=dict(_delete_=True, **_base_.resnet18),
    neck=_base_.fpn,
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        # Anchors of 12, 24, 48 and 96 px: the shapes span 10 to 80 px.
        anchor_generator=dict(scales=[1.5, 3], strides=_base_.strides),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            # One sample per bin: RoIAlign is the slowest part of a step on a CPU.
            roi_layer=dict(output_size=5, sampling_ratio=1),
            out_channels=64,
            featmap_strides=_base_.strides,
            finest_scale=32,
        ),
        bbox_head=dict(in_channels=64, roi_feat_size=5, fc_out_channels=256),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=128)),
        rpn_proposal=dict(nms_pre=200, max_per_img=200),
        rcnn=dict(sampler=dict(num=64)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=150, max_per_img=100)),
)
student = dict(detector=detector)

del detector
