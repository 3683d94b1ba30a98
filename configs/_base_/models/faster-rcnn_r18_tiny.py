"""Faster R-CNN, half-width ResNet-18-FPN with group norm, for images of about 160 px.

Trains from random weights: nothing is frozen and group norm does not mind that a
batch holds two views of very different statistics.
"""

_base_ = "./faster-rcnn_tiny.py"

strides = [8, 16, 32]
group_norm = dict(type="GN", num_groups=8, requires_grad=True)

detector = dict(
    backbone=dict(
        _delete_=True,
        type="ResNet",
        depth=18,
        base_channels=24,
        stem_channels=24,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_cfg=group_norm,
        norm_eval=False,
    ),
    neck=dict(in_channels=[48, 96, 192], out_channels=64, num_outs=3),
    rpn_head=dict(
        in_channels=64,
        feat_channels=64,
        # Anchors of 12, 24, 48 and 96 px: the shapes span 10 to 80 px.
        anchor_generator=dict(scales=[1.5, 3], strides=strides),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            # One sample per bin: RoIAlign is the slowest part of a step on a CPU.
            roi_layer=dict(output_size=5, sampling_ratio=1),
            out_channels=64,
            featmap_strides=strides,
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
