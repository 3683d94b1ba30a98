"""RetinaNet on the tiny Faster R-CNN's backbone, for images of about 160 px."""

_base_ = "./faster-rcnn_r18_tiny.py"

student = dict(
    detector=dict(
        _delete_=True,
        type="RetinaNet",
        data_preprocessor=_base_.student.detector.data_preprocessor,
        backbone=_base_.student.detector.backbone,
        neck=_base_.student.detector.neck,
        bbox_head=dict(
            type="RetinaHead",
            num_classes=80,
            in_channels=64,
            feat_channels=64,
            stacked_convs=2,
            norm_cfg=_base_.group_norm,
            # Per level three sizes: 12 to 19, 24 to 38, 48 to 76 px.
            anchor_generator=dict(
                type="AnchorGenerator",
                octave_base_scale=1.5,
                scales_per_octave=3,
                ratios=[0.5, 1.0, 2.0],
                strides=_base_.strides,
            ),
            bbox_coder=dict(type="DeltaXYWHBBoxCoder"),
            loss_cls=dict(type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25),
            loss_bbox=dict(type="L1Loss"),
        ),
        train_cfg=dict(
            assigner=dict(
                type="MaxIoUAssigner",
                pos_iou_thr=0.5,
                neg_iou_thr=0.4,
                min_pos_iou=0,
                ignore_iof_thr=-1,
            ),
            sampler=dict(type="PseudoSampler"),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        test_cfg=dict(
            nms_pre=300,
            min_bbox_size=0,
            score_thr=0.05,
            nms=dict(type="nms", iou_threshold=0.5),
            max_per_img=100,
        ),
    )
)
