"""COCO 10 %, LER and PRC: every switch of its ablation tables, on one fold.

Command: python tools/sweep.py coco_lerprc_ablations run --gpus-per-run 2
One row: tools/dist_train.sh coco_lerprc_ablations:no_ler 2
"""

title = "COCO 10 %, LER and PRC, ablations"
ratios = [10]
baseline = "lerprc"
methods = dict(
    supervised=dict(config="supervised/supervised_faster-rcnn_r50_coco.py"),
    lerprc=dict(
        label="LER and PRC",
        config="lerprc/lerprc_faster-rcnn_r50_coco.py",
        published=33.52,
    ),
)


def _threshold(value, published):
    options = {"model.semi_train_cfg.score_thr": value}
    return dict(of="lerprc", options=options, published=published, table="4")


overrides = dict(
    # Boxes by smooth L1 in place of L1, to compare a Gaussian head with.
    smooth_l1=dict(
        of="supervised",
        options={
            "model.roi_head.bbox_head.loss_bbox.type": "SmoothL1Loss",
            "model.roi_head.bbox_head.loss_bbox.beta": 1.0,
        },
    ),
    no_ler=dict(of="lerprc", options={"model.ler": None}, published=32.5, table="3"),
    no_prc=dict(of="lerprc", options={"model.prc": None}, published=32.2, table="3"),
    no_ler_prc=dict(
        of="lerprc",
        options={"model.ler": None, "model.prc": None},
        published=31.5,
        table="3",
    ),
    tau06=_threshold(0.6, 32.9),
    tau07=_threshold(0.7, 33.3),
    tau09=_threshold(0.9, 32.6),
    # Burn-in and ramp as the mean teacher has them.
    burn_in=dict(
        of="lerprc",
        options={
            "model.semi_train_cfg.burn_in": 2000,
            "model.semi_train_cfg.ramp_iters": 2000,
        },
    ),
    # Qualities doubled, so that they span (0, 1).
    gain2=dict(of="lerprc", options={"model.ler.gain": 2.0, "model.prc.gain": 2.0}),
    # LER's normaliser without its weights; LER over all sampled candidates.
    ler_norm_only=dict(of="lerprc", options={"model.ler.quality": False}),
    ler_sampled=dict(of="lerprc", options={"model.ler.reg_norm": "sampled"}),
    # The quality from the mean log variance, in (0, 1).
    log_variance=dict(
        of="lerprc",
        options={"model.detector.roi_head.bbox_head.quality_on": "log_variance"},
    ),
    # One normaliser for both groups of candidates; the teacher's probability alone.
    prc_joint=dict(of="lerprc", options={"model.prc.cls_norm": "joint"}),
    prc_no_quality=dict(of="lerprc", options={"model.prc.quality": False}),
)
