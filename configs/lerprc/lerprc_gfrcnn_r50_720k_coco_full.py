"""LER and PRC: Gaussian Faster R-CNN R50-FPN, all labels of COCO and unlabeled2017.

Command: tools/dist_train.sh lerprc/lerprc_gfrcnn_r50_720k_coco_full.py 2
Published AP: 43.20. Iterations as in Soft Teacher; the paper does not give them.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_gaussian.py",
    "../_base_/datasets/coco_full.py",
    "../_base_/views/soft_teacher.py",
    "../_base_/schedules/720k.py",
    "../_base_/methods/lerprc.py",
]

percent = 100

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
    dict(type="DrawPseudoLabelsHook", interval=5000),
]

default_hooks = dict(checkpoint=dict(interval=10_000))
