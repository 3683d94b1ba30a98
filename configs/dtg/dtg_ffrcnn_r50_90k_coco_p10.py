"""DTG on half the iterations (table 2e): 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_90k_coco_p10.py 8
Published AP: 33.7 (table 2e; 36.3 with 180k iterations).
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_focal.py",
    "../_base_/datasets/coco_partial.py",
    "../_base_/views/dtg.py",
    "../_base_/schedules/90k.py",
    "../_base_/methods/dtg.py",
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
