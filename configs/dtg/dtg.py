"""Dense teacher guidance (DTG): clusters of the teacher's NMS, without pseudo boxes."""

_base_ = "../_base_/runtime.py"

views = dict(preset="dtg")

# On each of eight GPUs one labelled image and four unlabelled ones.
train_dataloader = dict(batch_size=5, num_workers=5, sampler=dict(source_ratio=[1, 4]))
auto_scale_lr = dict(base_batch_size=40)

model = dict(
    type="DenseGuidanceTeacher",
    data_preprocessor=dict(type="MultiBranchDataPreprocessor"),
    semi_train_cfg=dict(
        sup_weight=1.0,
        unsup_weight=4.0,
        burn_in=4000,
        ramp_iters=0,
        score_thr=0.9,  # of stages set to "sparse"; dense ones have their tau
        min_box_wh=(2.0, 2.0),
        min_visible=0.2,
    ),
    semi_test_cfg=dict(predict_on="teacher"),
    dense=dict(
        rpn=dict(mode="dense", tau=0.9, rank_weight=3.0, temperature=1.0),
        rcnn=dict(mode="dense", tau=0.45, rank_weight=3.0, temperature=1.0),
    ),
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
