"""Mean teacher: FCOS R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh mean_teacher/mean_teacher_fcos_r50_180k_coco_p10.py 8
Published AP: none for this plain baseline; see the table in README.md.
"""

_base_ = [
    "../_base_/models/fcos_r50_fpn.py",
    "../_base_/datasets/coco_partial.py",
    "../_base_/views/soft_teacher.py",
    "../_base_/schedules/180k.py",
    "../_base_/methods/mean_teacher.py",
]

percent = 10

detector = _base_.model
model = dict(
    _delete_=True,
    **_base_.semi_detector,
    detector=detector,
    data_preprocessor=dict(
        type="MultiBranchDataPreprocessor",
        data_preprocessor=detector.data_preprocessor,
    ),
)
# One-stage scores are lower than softmax scores of the same precision.
model["semi_train_cfg"]["score_thr"] = 0.5

train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(_base_.labelled, pipeline=_base_.sup_pipeline),
            dict(_base_.unlabelled, pipeline=_base_.unsup_pipeline),
        ]
    ),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

custom_hooks = [
    *_base_.custom_hooks,
    dict(type="PseudoLabelQualityHook", ann_file=_base_.hidden_ann_file),
    dict(
        type="DrawPseudoLabelsHook",
        interval=5000,
        ann_file=_base_.hidden_ann_file,
    ),
]

# One-stage detectors want half of Faster R-CNN's learning rate.
optim_wrapper = dict(
    optimizer=dict(lr=0.005), clip_grad=dict(max_norm=35.0, norm_type=2)
)
