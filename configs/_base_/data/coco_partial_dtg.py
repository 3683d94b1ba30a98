"""COCO with few labels, under the views of DTG."""

_base_ = ["../datasets/coco_partial.py", "../views/dtg.py"]

supervised_sources = [dict(_base_.labelled, pipeline=_base_.supervised_pipeline)]
semi_sources = [
    dict(_base_.labelled, pipeline=_base_.sup_pipeline),
    dict(_base_.unlabelled, pipeline=_base_.unsup_pipeline),
]
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
