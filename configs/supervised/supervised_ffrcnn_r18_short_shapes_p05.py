"""Supervised baseline on the embedded shapes: focal Faster R-CNN, 5 % of the labels.

Command: python tools/train.py supervised/supervised_ffrcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/models/faster-rcnn_r18_tiny_focal.py",
    "../_base_/datasets/shapes.py",
    "../_base_/views/shapes.py",
    "../_base_/schedules/short_adamw.py",
    "../_base_/methods/supervised.py",
]

percent = 5

model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))

train_dataloader = dict(
    batch_size=4,
    dataset=dict(datasets=[dict(_base_.labelled, pipeline=_base_.supervised_pipeline)]),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

auto_scale_lr = dict(base_batch_size=4)
default_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=_base_.train_cfg.val_interval)
)
