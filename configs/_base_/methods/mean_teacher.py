"""Mean teacher with hard pseudo labels: batch, detector wrapper, hooks, loops.

The other methods for teacher and student change it: the files beside this one say in
`method` what they lay over this `model`.
"""

_base_ = "../runtime.py"

# On each of eight GPUs one labelled image and four unlabelled ones.
train_dataloader = dict(
    batch_size=5,
    num_workers=5,
    persistent_workers=True,
    sampler=dict(type="RatioSampler", source_ratio=[1, 4], group_by_aspect=True),
    dataset=dict(type="SeededConcatDataset"),
)

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

custom_hooks = [
    *_base_.run_hooks,
    dict(type="MeanTeacherEMAHook", momentum=0.999),
    dict(type="PseudoLabelLogHook"),
]
val_cfg = dict(type="BothModelsValLoop")
test_cfg = dict(type="BothModelsTestLoop")

default_hooks = dict(checkpoint=dict(save_best="teacher/coco/bbox_mAP"))
auto_scale_lr = dict(base_batch_size=40)
