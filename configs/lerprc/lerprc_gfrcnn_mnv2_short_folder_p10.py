"""LER and PRC on your own data: tiny Gaussian Faster R-CNN, 10 % of the labels.

Command: python tools/train.py lerprc/lerprc_gfrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/models/faster-rcnn_mobilenetv2_tiny_gaussian.py",
    "../_base_/datasets/coco_folder.py",
    "../_base_/views/small.py",
    "../_base_/schedules/short.py",
    "../_base_/methods/lerprc.py",
]

percent = 10
teacher_config = "supervised/supervised_gfrcnn_mnv2_short_folder_p10.py"

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
# `--cfg-options continue_from=CHECKPOINT` the supervised run takes its place.
# A teacher of few labels is unsure of most objects: not taught, not background either.
unsure = dict(type="IgnoringMaxIoUAssigner", ignore_iof_thr=0.5)
model["detector"]["train_cfg"]["rpn"]["assigner"].update(unsure)
model["detector"]["train_cfg"]["rcnn"]["assigner"].update(unsure)
# As the plain mean teacher of the same folder, to compare with.
model["semi_train_cfg"].update(
    burn_in=0 if _base_.second_phase else _base_.max_iters // 2,
    ramp_iters=100,
    unsup_weight=1.0,
    score_thr=0.7,
    ignore_thr=0.2,
    # A tenth of the candidates is foreground, and PRC gives it half of the loss: at
    # full weight the teacher's scores rise and the precision of its labels falls to a
    # third. Its boxes are off by an eighth of their size: they teach little.
    unsup_loss_weights=dict(loss_rpn_bbox=0.0, loss_cls=0.3, loss_bbox=0.25),
)

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
    # A teacher of 0.999 would still be half its start when a short run ends.
    *(
        dict(hook, momentum=0.99) if hook.type == "MeanTeacherEMAHook" else hook
        for hook in _base_.custom_hooks
    ),
    dict(type="PseudoLabelQualityHook", ann_file=_base_.hidden_ann_file),
    dict(
        type="DrawPseudoLabelsHook",
        interval=250,
        ann_file=_base_.hidden_ann_file,
    ),
]

auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=_base_.train_cfg.val_interval)
)
