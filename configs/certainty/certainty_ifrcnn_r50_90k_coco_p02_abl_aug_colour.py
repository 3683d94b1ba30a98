"""Ablation: colour jitter alone in the strong view (table 7)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

sources = _base_.train_dataloader.dataset.datasets
strong = sources[1].pipeline[-1].strong
sources[1].pipeline[-1].strong = [strong[0], strong[-1]]
train_dataloader = dict(dataset=dict(datasets=sources))

del strong, sources
