"""Short training of a small detector on labelled images: minutes on two CPU cores."""

_base_ = "./runtime.py"

max_iters = 1_600
continue_from = None  # a checkpoint: the run is a second phase, see `second_phase`

train_dataloader = dict(batch_size=4)
train_cfg = dict(val_interval=1 / 4)
default_hooks = dict(logger=dict(interval=20), checkpoint=dict(interval=1 / 4))
auto_scale_lr = dict(base_batch_size=4)
