"""Supervised baseline: focal Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_ffrcnn_r50_180k_coco_p10.py 8
Published AP: 26.8 (DTG paper, table 2a; whether by focal loss is not said).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_focal.py",
    "../_base_/datasets/coco_partial.py",
    "../_base_/views/dtg.py",
    "../_base_/schedules/180k.py",
    "../_base_/methods/supervised.py",
]

percent = 10

train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.labelled, pipeline=_base_.supervised_pipeline)]),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
