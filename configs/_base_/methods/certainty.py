"""Certainty-aware pseudo labels: frozen teacher, class balance, hooks.

What the paper switches: `model.class_balance.g1` (dynamic thresholds), `.g2`
(re-weighting), the interval head of the detector and its `score_factor` (certainty).
"""

method = dict(
    type="CertaintyTeacher",
    semi_train_cfg=dict(unsup_weight=1.0, burn_in=0, ramp_iters=0, score_thr=0.7),
    semi_test_cfg=dict(predict_on="student"),
    class_balance=dict(type="ClassBalance", g1=0.05, g2=0.6, clip=(0.4, 0.9)),
)

# In place of the interval head, to do without certainty.
plain_head = dict(
    type="Shared2FCBBoxHead",
    bbox_coder=dict(
        type="DeltaXYWHBBoxCoder",
        target_means=[0.0, 0.0, 0.0, 0.0],
        target_stds=[0.1, 0.1, 0.2, 0.2],
    ),
    loss_bbox=dict(type="L1Loss", loss_weight=1.0),
)

# In place of the mean teacher's.
method_hooks = [
    dict(type="MeanTeacherEMAHook", teacher="frozen"),
    dict(type="PseudoLabelLogHook"),
    dict(type="ClassBalanceLogHook"),
]
