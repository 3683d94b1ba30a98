"""Short training of a small detector on labelled images: minutes on two CPU cores."""

_base_ = "./runtime.py"

max_iters = 1_600
continue_from = None  # a checkpoint: the run is a second phase, see `second_phase`

train_dataloader = dict(batch_size=4)
train_cfg = dict(val_interval=1 / 4)
default_hooks = dict(
    logger=dict(interval=20),
    checkpoint=dict(interval=1 / 4),
    # What is validated, saved and continued from is the average of the weights, as a
    # mean teacher is: so a teacher is compared with labels alone, not with averaging.
    ema=dict(
        type="EMAHook",
        ema_type="ExpMomentumEMA",
        momentum=0.01,
        gamma=100,
        update_buffers=True,
    ),
)
auto_scale_lr = dict(base_batch_size=4)
