"""Short training of a teacher and a student from few labels.

The labelled half of a batch, the learning rate and the schedule are those of the
supervised configs.
"""

_base_ = "./runtime.py"

max_iters = 1_600
continue_from = None  # a checkpoint: the run is a second phase, without a burn-in

model = dict(
    data_preprocessor=dict(type="MultiBranchDataPreprocessor"),
    semi_train_cfg=dict(
        sup_weight=1.0,
        unsup_weight=1.0,
        burn_in=1 / 2,
        ramp_iters=100,
        score_thr=0.7,
        min_box_wh=(2.0, 2.0),
        min_visible=0.2,
    ),
    semi_test_cfg=dict(predict_on="teacher"),
)
train_dataloader = dict(batch_size=8, sampler=dict(source_ratio=[1, 1]))
train_cfg = dict(val_interval=1 / 4)
val_cfg = dict(type="BothModelsValLoop")
test_cfg = dict(type="BothModelsTestLoop")
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=1 / 4, save_best="teacher/coco/bbox_mAP"),
    # A teacher of momentum 0.999 would still be half its start when a short run ends.
    teacher=dict(type="MeanTeacherEMAHook", momentum=0.99),
    pseudo_labels=dict(type="PseudoLabelLogHook"),
    label_quality=dict(type="PseudoLabelQualityHook"),
    drawing=dict(type="DrawPseudoLabelsHook", interval=250),
)
auto_scale_lr = dict(base_batch_size=8)
