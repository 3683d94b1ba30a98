"""Ablation: multi-scale, labelled and unlabelled images 1:1 (table 5)."""

_base_ = "./certainty_ifrcnn_r50_90k_voc_coco20_abl_multiscale.py"

sources = _base_.train_dataloader.dataset.datasets
both = dict(type="SeededConcatDataset", datasets=sources[1:])
train_dataloader = dict(
    sampler=dict(source_ratio=[1, 1]),
    dataset=dict(datasets=[sources[0], both]),
)
model = dict(semi_train_cfg=dict(weight_by_images=False))

del both, sources
