"""Certainty-aware pseudo labels: VOC07 labelled, VOC12 and COCO-20
unlabelled.

Command: python tools/train_phases.py
         certainty/certainty_ifrcnn_r50_90k_voc_coco20.py --nproc 4
Published AP: 54.0 (table 1c).
Batch as in the paper: 4 GPUs x 2 images.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_interval.py",
    "../_base_/datasets/voc_coco20.py",
    "../_base_/views/flip_cutout_short600.py",
    "../_base_/schedules/90k.py",
    "../_base_/methods/certainty.py",
]

percent = 100
teacher_config = "supervised/supervised_ifrcnn_r50_10k_voc.py"
teacher_options = {"train_dataloader.batch_size": 2}

detector = _base_.model
detector.roi_head.bbox_head.num_classes = _base_.num_classes
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
            dict(_base_.unlabelled_coco20, pipeline=_base_.unsup_pipeline),
        ]
    ),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

custom_hooks = [
    *_base_.custom_hooks,
    dict(type="DrawPseudoLabelsHook", interval=5000),
]
