"""RetinaNet on a half-width ResNet-18, for images of about 160 px."""

_base_ = ["./retinanet_r50_fpn.py", "./resnet18_tiny.py"]

rgb = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True)
student = dict(
    detector=dict(
        data_preprocessor=rgb,
        backbone=dict(_delete_=True, **_base_.resnet18),
        neck=dict(_delete_=True, **_base_.fpn),
        bbox_head=dict(
            in_channels=64,
            feat_channels=64,
            stacked_convs=2,
            norm_cfg=_base_.group_norm,
            # Per level three sizes: 12 to 19, 24 to 38, 48 to 76 px.
            anchor_generator=dict(octave_base_scale=1.5, strides=_base_.strides),
        ),
        test_cfg=dict(nms_pre=300),
    ),
    data_preprocessor=dict(data_preprocessor=rgb),
)

del rgb
