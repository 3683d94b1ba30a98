"""mmdet's SoftTeacher on the embedded shapes: small Faster R-CNN, 5 % of the labels.

Command: python tools/train.py soft_teacher/soft_teacher_frcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/models/faster-rcnn_r18_tiny.py",
    "../_base_/datasets/shapes.py",
    "../_base_/views/shapes.py",
    "../_base_/schedules/short_adamw.py",
    "../_base_/methods/soft_teacher.py",
]

percent = 5
teacher_config = "supervised/supervised_frcnn_r18_short_shapes_p05.py"

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
# With the settings for COCO hardly a pseudo label is left, and these count fourfold.
model["semi_train_cfg"].update(unsup_weight=1.0, rpn_pseudo_thr=0.7, cls_pseudo_thr=0.7)

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

auto_scale_lr = dict(base_batch_size=8)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=_base_.train_cfg.val_interval)
)
