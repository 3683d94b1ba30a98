"""DTG on a one-stage detector: RetinaNet R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_retinanet_r50_180k_coco_p10.py 8
Published AP: none; the paper names one-stage detectors without numbers.
"""

_base_ = [
    "../_base_/models/retinanet_r50_fpn.py",
    "../_base_/datasets/coco_partial.py",
    "../_base_/views/dtg.py",
    "../_base_/schedules/180k.py",
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
# One stage, one set of clusters: all anchors and classes.
model["dense"] = dict(head=dict(tau=0.45))

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
