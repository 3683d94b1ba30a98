"""The embedded data set of `tools/make_shapes.py`, with detectors of its size.

Half-width ResNet-18-FPNs with group norm, for images of about 160 px. They train from
random weights: nothing is frozen, and group norm does not mind that a batch holds two
views of very different statistics. AdamW at a constant rate: SGD needs several times as
many iterations.
"""

data_root = "data/shapes"
num_classes = 8
percent = 5

views = dict(
    preset="soft_teacher", scale=(160, 128), ratio=(0.75, 1.25), test_scale=(160, 128)
)
labelled = dict(
    type="CocoSemiDataset",
    data_root="{data_root}",
    ann_file="annotations/semi/instances_train.{fold}@{percent}.json",
    data_prefix=dict(img="train/"),
    filter_cfg=dict(filter_empty_gt=True),
    pipeline="labelled",
)
unlabelled = dict(
    type="CocoSemiDataset",
    data_root="{data_root}",
    ann_file="annotations/semi/instances_train.{fold}@{percent}-unlabeled.json",
    data_prefix=dict(img="train/"),
    filter_cfg=dict(filter_empty_gt=False),
    pipeline="unlabelled",
)
# True boxes of the unlabelled images. Only the hooks on pseudo labels read them.
hidden_ann_file = (
    "{data_root}/annotations/semi/instances_train.{fold}@{percent}-hidden.json"
)
val_dataloader = dict(
    batch_size=8,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoSemiDataset",
        test_mode=True,
        data_root="{data_root}",
        ann_file="annotations/instances_val.json",
        data_prefix=dict(img="val/"),
        pipeline="test",
    ),
)
val_evaluator = dict(
    type="FastCocoMetric",
    ann_file="{data_root}/annotations/instances_val.json",
    metric="bbox",
)

# A teacher that was trained on few labels is unsure of most objects. Candidates inside
# its unsure boxes are neither objects nor background (IgnoringMaxIoUAssigner).
box_head = dict(
    type="Shared2FCBBoxHead",
    in_channels=64,
    fc_out_channels=256,
    roi_feat_size=5,
    num_classes=80,
    bbox_coder=dict(
        type="DeltaXYWHBBoxCoder",
        target_means=[0.0, 0.0, 0.0, 0.0],
        target_stds=[0.1, 0.1, 0.2, 0.2],
    ),
    reg_class_agnostic=False,
    loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
    loss_bbox=dict(type="L1Loss", loss_weight=1.0),
)
detector = dict(
    type="FasterRCNN",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="ResNet",
        depth=18,
        base_channels=24,
        stem_channels=24,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type="GN", num_groups=8, requires_grad=True),
        norm_eval=False,
    ),
    neck=dict(type="FPN", in_channels=[48, 96, 192], out_channels=64, num_outs=3),
    rpn_head=dict(
        type="RPNHead",
        in_channels=64,
        feat_channels=64,
        # Anchors of 12, 24, 48 and 96 px: the shapes span 10 to 80 px.
        anchor_generator=dict(
            type="AnchorGenerator",
            scales=[1.5, 3],
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32],
        ),
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0],
        ),
        loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True, loss_weight=1.0),
        loss_bbox=dict(type="L1Loss", loss_weight=1.0),
    ),
    roi_head=dict(
        type="StandardRoIHead",
        bbox_roi_extractor=dict(
            type="SingleRoIExtractor",
            # One sample per bin: on a CPU a step spends much of its time in RoIAlign.
            roi_layer=dict(type="RoIAlign", output_size=5, sampling_ratio=1),
            out_channels=64,
            featmap_strides=[8, 16, 32],
            finest_scale=32,
        ),
        bbox_head=box_head,
    ),
    train_cfg=dict(
        rpn=dict(
            assigner=dict(
                type="IgnoringMaxIoUAssigner",
                pos_iou_thr=0.7,
                neg_iou_thr=0.3,
                min_pos_iou=0.3,
                match_low_quality=True,
                ignore_iof_thr=0.5,
            ),
            sampler=dict(
                type="RandomSampler",
                num=128,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(
            nms_pre=200,
            max_per_img=200,
            nms=dict(type="nms", iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            assigner=dict(
                type="IgnoringMaxIoUAssigner",
                pos_iou_thr=0.5,
                neg_iou_thr=0.5,
                min_pos_iou=0.5,
                match_low_quality=False,
                ignore_iof_thr=0.5,
            ),
            sampler=dict(
                type="RandomSampler",
                num=64,
                pos_fraction=0.25,
                neg_pos_ub=-1,
                add_gt_as_proposals=True,
            ),
            pos_weight=-1,
            debug=False,
        ),
    ),
    test_cfg=dict(
        rpn=dict(
            nms_pre=150,
            max_per_img=100,
            nms=dict(type="nms", iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100
        ),
    ),
)

retinanet = dict(
    type="RetinaNet",
    data_preprocessor=dict(
        type="DetDataPreprocessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_size_divisor=32,
    ),
    backbone=dict(
        type="ResNet",
        depth=18,
        base_channels=24,
        stem_channels=24,
        num_stages=4,
        out_indices=(1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type="GN", num_groups=8, requires_grad=True),
        norm_eval=False,
    ),
    neck=dict(type="FPN", in_channels=[48, 96, 192], out_channels=64, num_outs=3),
    test_cfg=dict(
        nms_pre=300,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type="nms", iou_threshold=0.5),
        max_per_img=100,
    ),
    bbox_head=dict(
        type="RetinaHead",
        num_classes=80,
        in_channels=64,
        stacked_convs=2,
        feat_channels=64,
        # Per level three sizes: 12 to 19, 24 to 38, 48 to 76 px.
        anchor_generator=dict(
            type="AnchorGenerator",
            octave_base_scale=1.5,
            scales_per_octave=3,
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32],
        ),
        bbox_coder=dict(
            type="DeltaXYWHBBoxCoder",
            target_means=[0.0, 0.0, 0.0, 0.0],
            target_stds=[1.0, 1.0, 1.0, 1.0],
        ),
        loss_cls=dict(
            type="FocalLoss", use_sigmoid=True, gamma=2.0, alpha=0.25, loss_weight=1.0
        ),
        loss_bbox=dict(type="L1Loss", loss_weight=1.0),
        norm_cfg=dict(type="GN", num_groups=8, requires_grad=True),
    ),
    train_cfg=dict(
        assigner=dict(
            type="IgnoringMaxIoUAssigner",
            pos_iou_thr=0.5,
            neg_iou_thr=0.4,
            min_pos_iou=0,
            ignore_iof_thr=0.5,
        ),
        sampler=dict(type="PseudoSampler"),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
)

# Box heads, laid over that of `detector`:
#     _base_.detector.roi_head.bbox_head = _base_.interval_head
# With few labels neighbouring intervals have about the same probability. The mean of
# their places gives the same weights 2 AP and 3 AP75 more than the most probable place.
interval_head = dict(
    box_head,
    type="IntervalBBoxHead",
    num_intervals=30,
    decode="expected",
    score_factor="p*v",
    # These belong to the plain head; the interval head replaces them.
    bbox_coder=None,
    loss_bbox=None,
)
# Holding the variances within a factor of e gives 17.1 AP on 50 images instead of 15.0
# (see `folder.py`).
gaussian_head = dict(
    box_head,
    type="GaussianBBoxHead",
    quality_on="variance",
    log_var_limit=1.0,
    kl_weight=0.25,
    # The loss of pseudo labels; true boxes train the KL loss.
    loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
)
focal_head = dict(
    box_head,
    loss_cls=dict(type="FocalRoILoss", gamma=2.0, alpha=0.25),
    cls_predictor_cfg=dict(type="PriorLinear", prior=0.01),
)

lr_steps = []  # of max_iters
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type="MultiStepLR", by_epoch=False, begin=0, gamma=0.1),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0, norm_type=2),
)
# A run with `continue_from` trains its last quarter at a tenth of the rate.
second_phase = {"param_scheduler.0.end": 20, "lr_steps": [3 / 4]}
