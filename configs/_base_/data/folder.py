"""Your own data, under the views for small images."""

_base_ = ["../datasets/coco_folder.py", "../views/small.py"]

supervised_sources = [dict(_base_.labelled, pipeline=_base_.supervised_pipeline)]
semi_sources = [
    dict(_base_.labelled, pipeline=_base_.sup_pipeline),
    dict(_base_.unlabelled, pipeline=_base_.unsup_pipeline),
]
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
_base_.pseudo_label_hooks[1].interval = 250
