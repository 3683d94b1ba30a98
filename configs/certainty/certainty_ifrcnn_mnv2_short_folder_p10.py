"""Certainty-aware pseudo labels on your own data: tiny detector, 10 % of the labels.

Command: python tools/train.py certainty/certainty_ifrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
The two phases in one run: the burn-in trains the teacher, which is frozen at its end.
Apart, the first one as long as you like: the same with tools/train_phases.py.
"""

_base_ = [
    "../_base_/models/faster-rcnn_mobilenetv2_tiny_interval.py",
    "../_base_/datasets/coco_folder.py",
    "../_base_/views/small.py",
    "../_base_/schedules/short.py",
    "../_base_/methods/certainty.py",
]

percent = 10
teacher_config = "supervised/supervised_ifrcnn_mnv2_short_folder_p10.py"

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
# The labelled half of a batch, the learning rate and the schedule are those of the
# supervised config. Alone, the first half of the run is burn-in; with
# `--cfg-options continue_from=CHECKPOINT` the first phase takes its place.
# A teacher of few labels is unsure of most objects: not taught, not background either.
unsure = dict(type="IgnoringMaxIoUAssigner", ignore_iof_thr=0.5)
model["detector"]["train_cfg"]["rpn"]["assigner"].update(unsure)
model["detector"]["train_cfg"]["rcnn"]["assigner"].update(unsure)
model["semi_train_cfg"].update(
    burn_in=0 if _base_.second_phase else _base_.max_iters // 2,
    ramp_iters=100,
    ignore_thr=0.2,
    # A teacher of so few labels misses the sides by an eighth of the box: not taught.
    unsup_loss_weights=dict(loss_rpn_bbox=0.0, loss_bbox_seg=0.0, loss_bbox_reg=0.0),
)
# Of few labels most detections are doubtful; counted, they would push all weights up.
model["class_balance"].update(floor=0.5)

train_dataloader = dict(
    batch_size=8,
    num_workers=2,
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
        interval=250,
        ann_file=_base_.hidden_ann_file,
    ),
]

default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=_base_.train_cfg.val_interval)
)
