"""Your own data with a Faster R-CNN that trains on two CPU cores in minutes.

    <data_root>/annotations/instances_train.json, instances_val.json   COCO format
    <data_root>/annotations/semi/                    written by tools/make_splits.py
    <data_root>/train/, <data_root>/val/             images
    <data_root>/unlabelled/                          optional, images without a json

The classes are those of the json. The detector is a MobileNetV2-FPN for images of about
350 px, about 0.5 s for a step of four images; `pretrained` names its ImageNet weights.
With them the first stages and the batch norm are frozen; without them all is trained,
from random weights, which wants many more iterations and labels.
    --cfg-options data_root=path/to/data pretrained=mobilenet_v2
"""

data_root = "data/my_dataset"
num_classes = None  # as many as the json has
percent = 10
pretrained = None

# Soft Teacher's views for small images: 304 x 228 on average.
views = dict(
    preset="soft_teacher",
    scale=(304, 228),  # (long, short) limits ...
    ratio=(0.75, 1.25),  # ... and the range of the factor on both
    test_scale=(304, 228),
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
# The true boxes of the unlabelled images: read by the hooks on pseudo labels alone.
hidden_ann_file = (
    "{data_root}/annotations/semi/instances_train.{fold}@{percent}-hidden.json"
)
val_dataloader = dict(
    batch_size=4,
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

# A teacher of few labels is unsure of most objects. A candidate inside an ignored box
# is neither taught nor background: IgnoringMaxIoUAssigner.
box_head = dict(
    type="Shared2FCBBoxHead",
    in_channels=96,
    fc_out_channels=384,
    roi_feat_size=7,
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
        type="MobileNetV2",
        out_indices=(2, 4, 7),
        frozen_stages=3,
        norm_cfg=dict(type="BN", requires_grad=False),
        norm_eval=True,
        init_cfg=dict(type="Pretrained", checkpoint="{pretrained}"),
    ),
    neck=dict(type="FPN", in_channels=[32, 96, 1280], out_channels=96, num_outs=4),
    rpn_head=dict(
        type="RPNHead",
        in_channels=96,
        feat_channels=96,
        anchor_generator=dict(
            type="AnchorGenerator",
            scales=[4],
            ratios=[0.5, 1.0, 2.0],
            strides=[8, 16, 32, 64],
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
            # One sample per bin: RoIAlign is the slowest part of a step on a CPU.
            roi_layer=dict(type="RoIAlign", output_size=7, sampling_ratio=1),
            out_channels=96,
            featmap_strides=[8, 16, 32],
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
                num=256,
                pos_fraction=0.5,
                neg_pos_ub=-1,
                add_gt_as_proposals=False,
            ),
            allowed_border=-1,
            pos_weight=-1,
            debug=False,
        ),
        rpn_proposal=dict(
            nms_pre=400,
            max_per_img=400,
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
                num=128,
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
            nms_pre=300,
            max_per_img=300,
            nms=dict(type="nms", iou_threshold=0.7),
            min_bbox_size=0,
        ),
        rcnn=dict(
            score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=100
        ),
    ),
)

# Box heads for few labels, laid over the detector's:
#     _base_.detector.roi_head.bbox_head = _base_.interval_head
# Few boxes: the paper's 30 intervals are not learnt from a few hundred of them (AP75 3
# in place of 6). Seven are, with offsets that count; of an odd number the middle one
# holds the sides that are in place already. Neighbouring intervals are about as
# probable: the mean of their places is taken. Certainty learnt from 45 images says next
# to nothing of the IoU (rank correlation 0.08): ranking by p * v costs 0.9 AP.
interval_head = dict(
    box_head,
    type="IntervalBBoxHead",
    num_intervals=7,
    decode="expected",
    reg_beta=0.1,
    reg_weight=2.0,
    score_factor="p",
    # Of the plain head; this one has its own.
    bbox_coder=None,
    loss_bbox=None,
)
# Few boxes are soon learnt by heart: variances shrink, and the loss, e^4 as steep then,
# follows their noise. Held within a factor of e: AP of 45 images of the aquarium 9.4,
# not 7.8; a bound above alone does nothing (7.9). The KL loss counts a quarter: so were
# these settings chosen and measured.
gaussian_head = dict(
    box_head,
    type="GaussianBBoxHead",
    quality_on="variance",
    log_var_limit=1.0,
    kl_weight=0.25,
    # The loss of pseudo labels; true boxes train the KL loss.
    loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
)
# Of few labels a batch has few foreground candidates at first: divided by their number,
# the background's gradient is ten times a softmax head's, and clipped. Divided by all
# candidates, with a weight that makes it the same where a quarter is foreground. From a
# first probability of 0.01 such a head lags behind a softmax one for hundreds of steps.
focal_head = dict(
    box_head,
    loss_cls=dict(type="FocalRoILoss", norm="all", loss_weight=4.0),
    cls_predictor_cfg=dict(type="PriorLinear", prior=0.1),
)
interval_focal_head = dict(
    interval_head,
    loss_cls=focal_head["loss_cls"],
    cls_predictor_cfg=focal_head["cls_predictor_cfg"],
)

lr_steps = [9 / 10]  # of max_iters
param_scheduler = [
    dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type="MultiStepLR", by_epoch=False, begin=0, gamma=0.1),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=10.0, norm_type=2),
)
# With `continue_from`: a quarter of the rate.
second_phase = {
    "optim_wrapper.optimizer.lr": 0.0025,
    "param_scheduler.0.start_factor": 0.1,
    "param_scheduler.0.end": 20,
    "lr_steps": [3 / 4],
}
