"""Variant: no colour operation on the weak view, as in section 3.1."""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10.py"

sources = _base_.train_dataloader.dataset.datasets
sources[1].pipeline[-1].weak[0].pop("colour")
train_dataloader = dict(dataset=dict(datasets=sources))

del sources
