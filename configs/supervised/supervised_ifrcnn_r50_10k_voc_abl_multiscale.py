"""First phase of multi-scale training: short side 640-800, tested at 800."""

_base_ = "./supervised_ifrcnn_r50_10k_voc.py"

source = _base_.train_dataloader.dataset.datasets[0]
source.pipeline[2].scale = [(1333, 640), (1333, 800)]
train_dataloader = dict(dataset=dict(datasets=[source]))
_base_.val_dataloader.dataset.pipeline[1].scale = (1333, 800)
val_dataloader = test_dataloader = _base_.val_dataloader

del source
