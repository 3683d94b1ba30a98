"""Certainty-aware pseudo labels: frozen teacher, class balance, hooks, loops.

What the paper switches: `model.class_balance.g1` (dynamic thresholds), `.g2`
(re-weighting), the interval head of the detector and its `score_factor` (certainty).
"""

_base_ = "./mean_teacher.py"

semi_detector = dict(
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

custom_hooks = [
    *(
        dict(type="MeanTeacherEMAHook", teacher="frozen")
        if hook.type == "MeanTeacherEMAHook"
        else hook
        for hook in _base_.custom_hooks
    ),
    dict(type="ClassBalanceLogHook"),
]

# The frozen teacher does not change: only the student is worth a look.
val_cfg = dict(models=["student"])
default_hooks = dict(checkpoint=dict(save_best="student/coco/bbox_mAP"))
auto_scale_lr = dict(base_batch_size=8)
