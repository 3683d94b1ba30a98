"""Certainty-aware pseudo labels: all labels of COCO and unlabeled2017, 3x.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_540k_coco_full.py --nproc 4
Published AP: 43.3 (table 1a).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_interval.py",
    "../_base_/datasets/coco_full.py",
    "../_base_/views/flip_cutout.py",
    "../_base_/schedules/540k.py",
    "../_base_/methods/certainty.py",
]

percent = 100
teacher_config = "supervised/supervised_ifrcnn_r50_540k_coco_full.py"
teacher_options = {"train_dataloader.batch_size": 2}

detector = _base_.model
model = dict(
    _delete_=True,
    **_base_.semi_detector,
    detector=detector,
    data_preprocessor=dict(
        type="BranchDataPreprocessor",
        data_preprocessor=detector.data_preprocessor,
    ),
)
# Images are drawn from the union of labelled and unlabelled ones.
model["semi_train_cfg"].update(weight_by_images=True)

train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    sampler=dict(source_ratio=[1]),
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
