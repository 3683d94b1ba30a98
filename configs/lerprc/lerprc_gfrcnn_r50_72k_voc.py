"""LER and PRC: Gaussian Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh lerprc/lerprc_gfrcnn_r50_72k_voc.py 2
Published AP: 52.81, AP50 80.40, AP75 58.80.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_gaussian.py",
    "../_base_/datasets/voc.py",
    "../_base_/views/soft_teacher.py",
    "../_base_/schedules/72k.py",
    "../_base_/methods/lerprc.py",
]

percent = 100

detector = _base_.model
detector.roi_head.bbox_head.num_classes = _base_.num_classes
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
    dict(type="PseudoLabelQualityHook", ann_file=_base_.hidden_ann_file),
    dict(
        type="DrawPseudoLabelsHook",
        interval=5000,
        ann_file=_base_.hidden_ann_file,
    ),
]

auto_scale_lr = dict(base_batch_size=16)
