"""Mean teacher with hard pseudo labels, for training at the scale of COCO."""

_base_ = "../_base_/runtime.py"

views = dict(preset="soft_teacher")

# On each of eight GPUs one labelled image and four unlabelled ones.
train_dataloader = dict(batch_size=5, num_workers=5, sampler=dict(source_ratio=[1, 4]))
auto_scale_lr = dict(base_batch_size=40)

model = dict(
    type="MeanTeacher",
    data_preprocessor=dict(type="MultiBranchDataPreprocessor"),
    semi_train_cfg=dict(
        sup_weight=1.0,
        unsup_weight=4.0,
        burn_in=2000,
        ramp_iters=2000,
        score_thr=0.7,
        min_box_wh=(2.0, 2.0),
        min_visible=0.2,
    ),
    semi_test_cfg=dict(predict_on="teacher"),
)

val_cfg = dict(type="BothModelsValLoop")
test_cfg = dict(type="BothModelsTestLoop")
default_hooks = dict(
    checkpoint=dict(save_best="teacher/coco/bbox_mAP"),
    teacher=dict(type="MeanTeacherEMAHook", momentum=0.999),
    pseudo_labels=dict(type="PseudoLabelLogHook"),
    label_quality=dict(type="PseudoLabelQualityHook"),
    drawing=dict(type="DrawPseudoLabelsHook", interval=5_000),
)
