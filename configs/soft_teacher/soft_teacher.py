"""mmdet's own SoftTeacher on our data, hooks and loops: the peer to compare with."""

_base_ = "../_base_/runtime.py"

views = dict(preset="soft_teacher")

# On each of eight GPUs one labelled image and four unlabelled ones.
train_dataloader = dict(batch_size=5, num_workers=5, sampler=dict(source_ratio=[1, 4]))
auto_scale_lr = dict(base_batch_size=40)

model = dict(
    type="SoftTeacher",
    data_preprocessor=dict(type="MultiBranchDataPreprocessor"),
    semi_train_cfg=dict(
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
    semi_test_cfg=dict(predict_on="teacher"),
)

val_cfg = dict(type="BothModelsValLoop")
test_cfg = dict(type="BothModelsTestLoop")
default_hooks = dict(
    checkpoint=dict(save_best="teacher/coco/bbox_mAP"),
    # It keeps no record of its pseudo labels: there is nothing to log or to draw.
    teacher=dict(type="MeanTeacherEMAHook", momentum=0.999),
)
