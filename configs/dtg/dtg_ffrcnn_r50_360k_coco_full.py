"""DTG: focal Faster R-CNN R50-FPN, all labels of COCO and unlabeled2017.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_360k_coco_full.py 8
Published AP: 44.7 (table 2e).
Batch and weight: 8 GPUs x 8 images, 1:1, unsupervised weight 2.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_focal.py",
    "../_base_/datasets/coco_full.py",
    "../_base_/views/dtg.py",
    "../_base_/schedules/360k.py",
    "../_base_/methods/dtg.py",
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
model["semi_train_cfg"]["unsup_weight"] = 2.0

train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    sampler=dict(source_ratio=[1, 1]),
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

auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(checkpoint=dict(interval=10_000))
