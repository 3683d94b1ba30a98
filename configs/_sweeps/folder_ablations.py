"""The methods' switches, and the methods joined, on your own data, on one fold.

Command: DATA_ROOT=DATA PRETRAINED=WEIGHTS
         python tools/sweep.py folder_ablations run --out work_dirs/folder
Data:    as for the sweep `folder`, whose rows are part of this one

With the same --out nothing that `folder` has trained is trained again. Some rows alone:
--rows certainty certainty+no_dt certainty+no_re. Rows that fall behind are dropped with
--rungs 0.5
"""

_base_ = "./folder.py"

title = "Your own data, ablations"

_smooth_l1 = {
    "model.roi_head.bbox_head.loss_bbox.type": "SmoothL1Loss",
    "model.roi_head.bbox_head.loss_bbox.beta": 1.0,
}
_plain = "supervised/supervised_faster-rcnn_mnv2_folder.py"
_gfl = "supervised/supervised_gfl_mnv2_folder.py"

_mosaics = {
    "model.mixing.pseudo_mosaic": 1.0,
    "model.mixing.labelled_mosaic": 1.0,
}

# Smooth L1, to compare a Gaussian head with, and methods joined as in no paper.
methods = dict(
    supervised_smooth_l1=dict(
        label="supervised, smooth L1",
        config=_plain,
        options=_smooth_l1,
        teacher=_plain,
        teacher_options=_smooth_l1,
    ),
    certainty_plain=dict(
        label="certainty-aware without certainty",
        config="certainty/certainty_faster-rcnn-plain_mnv2_folder.py",
    ),
    lerprc_interval=dict(
        label="LER and PRC by interval certainty",
        config="lerprc/lerprc_faster-rcnn-interval_mnv2_folder.py",
    ),
    # Another detector, one-stage, and what the methods give on it.
    supervised_gfl=dict(label="supervised, GFL", config=_gfl, teacher=_gfl),
    mean_teacher_gfl=dict(
        label="mean teacher, GFL", config="mean_teacher/mean_teacher_gfl_mnv2_folder.py"
    ),
    lerprc_gfl=dict(label="LER, GFL", config="lerprc/lerprc_gfl_mnv2_folder.py"),
    dtg_gfl=dict(label="DTG, GFL", config="dtg/dtg_gfl_mnv2_folder.py"),
    dtg_interval=dict(
        label="DTG, boxes kept by p times interval certainty",
        config="dtg/dtg_faster-rcnn-interval_mnv2_folder.py",
    ),
)


def _certainty(**options):
    return dict(of="certainty", options=_keys(options))


def _lerprc(**options):
    return dict(of="lerprc", options=_keys(options))


def _dtg(**options):
    return dict(of="dtg", options=_keys(options))


def _keys(options):
    """`model__ler` stands for "model.ler"."""
    return {key.replace("__", "."): value for key, value in options.items()}


overrides = dict(
    # The boxes of pseudo labels are taught as well, as in the paper.
    boxes=_certainty(
        model__semi_train_cfg__unsup_loss_weights__loss_rpn_bbox=1.0,
        model__semi_train_cfg__unsup_loss_weights__loss_bbox_seg=1.0,
        model__semi_train_cfg__unsup_loss_weights__loss_bbox_reg=1.0,
    ),
    # The teacher rests after the first phase, as in the paper.
    frozen=_certainty(
        default_hooks__teacher__teacher="frozen",
        default_hooks__checkpoint__save_best="student/coco/bbox_mAP",
        val_cfg__models=["student"],
        model__semi_test_cfg__predict_on="student",
    ),
    no_dt=_certainty(model__class_balance__g1=0.0),
    no_re=_certainty(model__class_balance__g2=0.0),
    no_dt_re=_certainty(model__class_balance__g1=0.0, model__class_balance__g2=0.0),
    # Certainty ranks as well, as in the paper.
    rank_pv=_certainty(model__detector__roi_head__bbox_head__score_factor="p*v"),
    # Images are drawn from the union of labelled and unlabelled ones.
    union=_certainty(
        train_dataloader__sampler__source_ratio=[1],
        model__semi_train_cfg__weight_by_images=True,
        model__data_preprocessor__type="BranchDataPreprocessor",
    ),
    # The paper's views of unlabelled images: one size, no geometry.
    views=_certainty(
        views__weak__ratio=None,
        views__strong__ratio=None,
        views__strong__colour__type="ColourJitter",
        views__strong__colour__brightness=0.4,
        views__strong__colour__contrast=0.4,
        views__strong__colour__saturation=0.4,
        views__strong__colour__hue=0.1,
        views__strong__colour__prob=0.8,
        views__strong__affine=None,
        views__strong__blur__sigma=(0.1, 2.0),
        views__strong__blur__prob=0.5,
        views__strong__erase__ratio=(0.05, 0.2),
    ),
    no_ler=_lerprc(model__ler=None),
    no_prc=_lerprc(model__prc=None),
    no_ler_prc=_lerprc(model__ler=None, model__prc=None),
    # LER's qualities doubled, to span (0, 1); its normaliser alone; MMDetection's.
    ler_gain2=_lerprc(model__ler__gain=0.5),
    ler_norm_only=_lerprc(model__ler__quality=False),
    ler_sampled=_lerprc(model__ler__reg_norm="sampled", model__ler__gain=1.0),
    # These qualities are about twice the others: half the gains keep the losses' scale.
    log_variance=_lerprc(
        model__detector__roi_head__bbox_head__quality_on="log_variance",
        model__ler__gain=0.125,
        model__prc__gain=2.0,
    ),
    # Without a quality of at most a half, half of the gain.
    prc_no_quality=_lerprc(model__prc__quality=False, model__prc__gain=2.0),
    # As printed: each group of candidates is divided by its own number.
    prc_separate=_lerprc(model__prc__cls_norm="separate", model__prc__gain=1.0),
    tau06=_lerprc(model__semi_train_cfg__score_thr=0.6),
    tau08=_lerprc(model__semi_train_cfg__score_thr=0.8),
    tau09=_lerprc(model__semi_train_cfg__score_thr=0.9),
    # Thresholds and weights by class. s_loc is below 0.5: an average by count would
    # push all weights up.
    lerprc_class_balance=_lerprc(
        model__class_balance__type="ClassBalance",
        model__class_balance__floor=0.5,
        model__class_balance__average="evidence",
    ),
    interval_class_balance=dict(
        of="lerprc_interval",
        options={
            "model.class_balance.type": "ClassBalance",
            "model.class_balance.floor": 0.5,
            "model.class_balance.average": "evidence",
        },
    ),
    # Mosaics of four views, labelled and strong ones.
    mosaic=dict(of="mean_teacher", options=_mosaics),
    certainty_mosaic=dict(of="certainty", options=_mosaics),
    lerprc_mosaic=dict(of="lerprc", options=_mosaics),
    dtg_mosaic=dict(of="dtg", options=_mosaics),
    dtg_class_balance=_dtg(
        model__class_balance__type="ClassBalance",
        model__class_balance__use_loc=False,
        model__class_balance__average="evidence",
    ),
    cls=_dtg(
        model__dense__rcnn__box_target="none", model__dense__rcnn__rank_weight=0.0
    ),
    cls_reg=_dtg(model__dense__rcnn__rank_weight=0.0),
    own_boxes=_dtg(
        model__dense__rcnn__box_target="own", model__dense__rcnn__rank_weight=0.0
    ),
    # All that the teacher scores below tau is background, as in the paper.
    no_ignore=_dtg(
        model__dense__rpn__ignore_thr=None, model__dense__rcnn__ignore_thr=None
    ),
    rpn_only=_dtg(model__dense__rcnn__mode="off"),
    # What label assignment needs with few labels: as the plain mean teacher here.
    sparse_rpn=_dtg(
        model__dense__rpn__mode="sparse",
        model__semi_train_cfg__ignore_thr=0.2,
        model__semi_train_cfg__unsup_loss_weights__loss_rpn_bbox=0.0,
    ),
    # From tau to `score_thr` boxes are ignored.
    sparse_sparse=_dtg(
        model__dense__rpn__mode="sparse",
        model__dense__rcnn__mode="sparse",
        model__dense__rcnn__tau=0.2,
        model__dense__rcnn__max_proposals=None,
        model__semi_train_cfg__ignore_thr=0.2,
        model__semi_train_cfg__unsup_loss_weights__loss_rpn_bbox=0.0,
        model__semi_train_cfg__unsup_loss_weights__loss_bbox=0.0,
    ),
    kept_by_p=dict(of="dtg_interval", options={"model.dense.rcnn.kept_by": "p"}),
)
