"""Dense teacher guidance (DTG): clusters of the teacher's NMS, hooks, loops."""

_base_ = "./mean_teacher.py"

semi_detector = dict(
    type="DenseGuidanceTeacher",
    dense=dict(
        rpn=dict(mode="dense", tau=0.9, rank_weight=3.0, temperature=1.0),
        rcnn=dict(mode="dense", tau=0.45, rank_weight=3.0, temperature=1.0),
    ),
    # score_thr is that of stages set to "sparse"; dense ones have their tau.
    semi_train_cfg=dict(unsup_weight=4.0, burn_in=4000, ramp_iters=0, score_thr=0.9),
)
