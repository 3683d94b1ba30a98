"""Ablation: no augmentation of the strong view but flip (table 7)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

sources = _base_.train_dataloader.dataset.datasets
strong = sources[1].pipeline[-1].strong
sources[1].pipeline[-1].strong = [dict(strong[0], colour=None), strong[-1]]
train_dataloader = dict(dataset=dict(datasets=sources))

del strong, sources
