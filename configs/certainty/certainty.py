"""Certainty-aware pseudo labels: frozen teacher, class balance.

What the paper switches: `model.class_balance.g1` (dynamic thresholds), `.g2`
(re-weighting), the interval head of the detector and its `score_factor` (certainty).
"""

_base_ = "../_base_/runtime.py"

views = dict(preset="flip_cutout")

# On each of four GPUs two images, drawn from the union of labelled and unlabelled ones.
train_dataloader = dict(batch_size=2, num_workers=4)
auto_scale_lr = dict(base_batch_size=8)
teacher_options = {"train_dataloader.batch_size": 2}

model = dict(
    type="CertaintyTeacher",
    data_preprocessor=dict(type="BranchDataPreprocessor"),
    semi_train_cfg=dict(
        sup_weight=1.0,
        unsup_weight=1.0,
        weight_by_images=True,
        burn_in=0,
        ramp_iters=0,
        score_thr=0.7,
        min_box_wh=(2.0, 2.0),
        min_visible=0.2,
    ),
    semi_test_cfg=dict(predict_on="student"),
    class_balance=dict(type="ClassBalance", g1=0.05, g2=0.6, clip=(0.4, 0.9)),
)

# The frozen teacher does not change: only the student is worth a look.
val_cfg = dict(type="BothModelsValLoop", models=["student"])
test_cfg = dict(type="BothModelsTestLoop")
default_hooks = dict(
    checkpoint=dict(save_best="student/coco/bbox_mAP"),
    teacher=dict(type="MeanTeacherEMAHook", teacher="frozen"),
    pseudo_labels=dict(type="PseudoLabelLogHook"),
    class_balance=dict(type="ClassBalanceLogHook"),
    label_quality=dict(type="PseudoLabelQualityHook"),
    drawing=dict(type="DrawPseudoLabelsHook", interval=5_000),
)
