"""Faster R-CNN, MobileNetV2-FPN, for images of about 350 px: trains on two CPU cores.

About 0.5 s for a step of four images. Its ImageNet weights (mmdet's key names):
    --cfg-options pretrained=path/to/mobilenet_v2.pth
With them the first stages and the batch norm are frozen; without them all is trained,
from random weights, which wants many more iterations and labels.
"""

_base_ = "./faster-rcnn_tiny.py"

pretrained = "{{$PRETRAINED:none}}"
has_weights = pretrained != "none"
strides = [8, 16, 32, 64]

detector = dict(
    backbone=dict(
        _delete_=True,
        type="MobileNetV2",
        out_indices=(2, 4, 7),
        frozen_stages=3 if has_weights else -1,
        norm_cfg=dict(type="BN", requires_grad=not has_weights),
        norm_eval=has_weights,
        init_cfg=(
            dict(type="Pretrained", checkpoint=pretrained) if has_weights else None
        ),
    ),
    neck=dict(in_channels=[32, 96, 1280], out_channels=96, num_outs=4),
    rpn_head=dict(
        in_channels=96,
        feat_channels=96,
        anchor_generator=dict(scales=[4], strides=strides),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=96,
            featmap_strides=strides[:3],
            # One sample per bin: RoIAlign is the slowest part of a step on a CPU.
            roi_layer=dict(sampling_ratio=1),
        ),
        bbox_head=dict(in_channels=96, fc_out_channels=384),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=400, max_per_img=400),
        rcnn=dict(sampler=dict(num=128)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=300, max_per_img=300)),
)
student = dict(detector=detector)

del detector
