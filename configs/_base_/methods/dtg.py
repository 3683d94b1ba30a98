"""Dense teacher guidance (DTG): clusters of the teacher's NMS, over a mean teacher."""

method = dict(
    type="DenseGuidanceTeacher",
    dense=dict(
        rpn=dict(mode="dense", tau=0.9, rank_weight=3.0, temperature=1.0),
        rcnn=dict(mode="dense", tau=0.45, rank_weight=3.0, temperature=1.0),
    ),
    # score_thr is that of stages set to "sparse"; dense ones have their tau. The weight
    # of the unlabelled losses, 4, is the mean teacher's.
    semi_train_cfg=dict(burn_in=4000, ramp_iters=0, score_thr=0.9),
)
