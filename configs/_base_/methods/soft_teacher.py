"""mmdet's own SoftTeacher on our data, hooks and loops: the peer to compare with."""

method = dict(
    type="SoftTeacher",
    semi_train_cfg=dict(
        _delete_=True,
        freeze_teacher=True,
        sup_weight=1.0,
        unsup_weight=4.0,
        pseudo_label_initial_score_thr=0.5,
        rpn_pseudo_thr=0.9,
        cls_pseudo_thr=0.9,
        reg_pseudo_thr=0.02,
        jitter_times=10,
        jitter_scale=0.06,
        min_pseudo_bbox_wh=(1e-2, 1e-2),
    ),
)

# In place of the mean teacher's: it keeps no record of its pseudo labels.
method_hooks = [dict(type="MeanTeacherEMAHook", momentum=0.999)]
