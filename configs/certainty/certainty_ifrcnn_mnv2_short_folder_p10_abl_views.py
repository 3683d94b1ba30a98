"""Ablation: the paper's views of unlabelled images: one size, no geometry."""

_base_ = "./certainty_ifrcnn_mnv2_short_folder_p10.py"

view = dict(type="RandomView", scale=_base_.scale, flip_prob=0.5)
jitter = dict(
    type="ColourJitter", brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=0.8
)
sources = _base_.train_dataloader.dataset.datasets
sources[1].pipeline[-1].weak = [view, *_base_.pack]
sources[1].pipeline[-1].strong = [
    dict(view, colour=jitter),
    dict(type="RandomBlur", sigma=(0.1, 2.0), prob=0.5),
    dict(type="ErasePatches", num=(1, 5), ratio=(0.05, 0.2)),
    *_base_.pack,
]
train_dataloader = dict(dataset=dict(datasets=sources))

del view, jitter, sources
