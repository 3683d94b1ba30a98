"""Your own data with a Faster R-CNN or GFL that trains on two CPU cores in minutes.

    <data_root>/annotations/instances_train.json, instances_val.json   COCO format
    <data_root>/annotations/semi/                    written by tools/make_splits.py
    <data_root>/train/, <data_root>/val/             images
    <data_root>/unlabelled/                          optional, images without a json

The classes are those of the json. The detectors have a MobileNetV2-FPN for images of
about 320 px, about 0.6 s for a step of four images; `pretrained` names its ImageNet
weights. With them the first stages and the batch norm are frozen; without them all is
trained, from random weights, which wants many more iterations and labels.
    --cfg-options data_root=path/to/data pretrained=mobilenet_v2
"""

data_root = "data/my_dataset"
num_classes = None  # as many as the json has
percent = 10
pretrained = None
sizes = None  # "proposed": views and anchors from the sizes of the labelled boxes
# Bound on the pixels of a view; a step takes as long as it has pixels.
max_pixels = 320 * 320

# Soft Teacher's views for small images. A scale gives limits (long, short); "images"
# stands for the median size of the validation images, within `max_pixels`.
views = dict(
    preset="soft_teacher",
    scale="images",
    ratio=(0.75, 1.25),  # range of the factor on both limits
    test_scale="images",
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

# A teacher that was trained on few labels is unsure of most objects. Candidates inside
# its unsure boxes are neither objects nor background (IgnoringMaxIoUAssigner).
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
            # One sample per bin: on a CPU a step spends much of its time in RoIAlign.
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

# A one-stage detector on the same backbone and neck, whose step takes about as long.
# The sides of a box are distributions over their distances from the middle of an
# anchor. Anchors are larger than small objects: a fifth of one inside an unsure box is
# enough to be no background.
gfl = dict(
    type="GFL",
    data_preprocessor=detector["data_preprocessor"],
    backbone=detector["backbone"],
    neck=detector["neck"],
    bbox_head=dict(
        type="GFLHead",
        num_classes=80,
        in_channels=96,
        feat_channels=96,
        stacked_convs=2,
        anchor_generator=dict(
            type="AnchorGenerator", scales=[4], ratios=[1.0], strides=[8, 16, 32, 64]
        ),
        loss_cls=dict(
            type="QualityFocalLoss", use_sigmoid=True, beta=2.0, loss_weight=1.0
        ),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
        loss_dfl=dict(type="DistributionFocalLoss", loss_weight=0.25),
        reg_max=16,
    ),
    train_cfg=dict(
        assigner=dict(type="IgnoringATSSAssigner", topk=9, ignore_iof_thr=0.2),
        allowed_border=-1,
        pos_weight=-1,
        debug=False,
    ),
    test_cfg=dict(
        nms_pre=300,
        min_bbox_size=0,
        score_thr=0.05,
        nms=dict(type="nms", iou_threshold=0.6),
        max_per_img=100,
    ),
)

# Box heads for few labels, laid over the detector's:
#     _base_.detector.roi_head.bbox_head = _base_.interval_head
# A few hundred boxes are too few to learn the paper's 30 intervals: AP75 is 3 instead
# of 6. Seven intervals can be learnt if their offsets count. With an odd number the
# middle interval holds the sides that are already in place. Neighbouring intervals have
# about the same probability, so the head takes the mean of their places. Certainty that
# was learnt from 45 images says almost nothing about the IoU (rank correlation 0.08),
# and ranking by p * v costs 0.9 AP.
interval_head = dict(
    box_head,
    type="IntervalBBoxHead",
    num_intervals=7,
    decode="expected",
    reg_beta=0.1,
    reg_weight=2.0,
    score_factor="p",
    # These belong to the plain head; the interval head replaces them.
    bbox_coder=None,
    loss_bbox=None,
)
# A detector soon learns few boxes by heart. Its variances then shrink, the loss becomes
# up to e^4 times as steep, and training follows noise. Holding the variances within a
# factor of e gives 9.4 AP on 45 images of the aquarium instead of 7.8; bounding only
# large variances gives 7.9. The KL loss has weight 0.25, with which these settings were
# chosen and measured.
gaussian_head = dict(
    box_head,
    type="GaussianBBoxHead",
    quality_on="variance",
    log_var_limit=1.0,
    kl_weight=0.25,
    # The loss of pseudo labels; true boxes train the KL loss.
    loss_bbox=dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0),
)
# With few labels, early batches contain few foreground candidates. Dividing the loss by
# that small number makes the background gradient about ten times larger than a softmax
# head's, so gradient clipping dominates training. This head divides by all candidates;
# the weight makes both the same where a quarter is foreground. If its probabilities
# start at 0.01, it lags behind a softmax head for hundreds of steps.
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
# A run with `continue_from` warms up soon, and its rate falls before its last quarter.
second_phase = {
    "param_scheduler.0.start_factor": 0.1,
    "param_scheduler.0.end": 20,
    "lr_steps": [3 / 4],
}
