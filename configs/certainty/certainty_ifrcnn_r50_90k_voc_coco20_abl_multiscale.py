"""Ablation: multi-scale training, short side 640-800 (table 1c)."""

_base_ = "./certainty_ifrcnn_r50_90k_voc_coco20.py"

short_640_to_800 = [(1333, 640), (1333, 800)]
sources = _base_.train_dataloader.dataset.datasets
sources[0].pipeline[-1].pipeline[0].scale = short_640_to_800
for source in sources[1:]:
    source.pipeline[-1].weak[0].scale = short_640_to_800
    source.pipeline[-1].strong[0].scale = short_640_to_800
train_dataloader = dict(dataset=dict(datasets=sources))
_base_.val_dataloader.dataset.pipeline[1].scale = (1333, 800)
val_dataloader = test_dataloader = _base_.val_dataloader
teacher_config = "supervised/supervised_ifrcnn_r50_10k_voc_abl_multiscale.py"

del source, sources, short_640_to_800
