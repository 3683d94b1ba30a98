"""LER and PRC: pseudo labels weighted by how well they are placed.

What the paper switches: `model.ler`, `model.prc` (None is off) and `score_thr`. The
paper trains on two GPUs and states neither a burn-in nor a ramp.
"""

_base_ = "../_base_/runtime.py"

views = dict(preset="soft_teacher")

# On each of two GPUs two labelled images and eight unlabelled ones.
train_dataloader = dict(batch_size=10, num_workers=8, sampler=dict(source_ratio=[1, 4]))
auto_scale_lr = dict(base_batch_size=20)

model = dict(
    type="LerPrcTeacher",
    data_preprocessor=dict(type="MultiBranchDataPreprocessor"),
    semi_train_cfg=dict(
        sup_weight=1.0,
        unsup_weight=4.0,
        burn_in=0,
        ramp_iters=0,
        score_thr=0.8,
        min_box_wh=(2.0, 2.0),
        min_visible=0.2,
    ),
    semi_test_cfg=dict(predict_on="teacher"),
    ler=dict(quality=True, reg_norm="foreground"),
    prc=dict(quality=True, cls_norm="separate"),
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
