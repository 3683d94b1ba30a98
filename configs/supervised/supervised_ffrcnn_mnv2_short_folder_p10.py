"""Supervised baseline on your own data: tiny focal Faster R-CNN, 10 % of the labels.

Command: python tools/train.py supervised/supervised_ffrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/models/faster-rcnn_mobilenetv2_tiny_focal.py",
    "../_base_/datasets/coco_folder.py",
    "../_base_/views/small.py",
    "../_base_/schedules/short.py",
    "../_base_/methods/supervised.py",
]

percent = 10

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
