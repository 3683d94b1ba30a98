"""The short schedule with AdamW, for training from random weights.

The rate is constant, and in a second phase a tenth for the last quarter. On the
embedded shapes SGD needs several times as many iterations.
"""

_base_ = "./short.py"

warm_up = dict(
    type="LinearLR",
    start_factor=0.01,
    by_epoch=False,
    begin=0,
    end=20 if _base_.second_phase else 50,
)
param_scheduler = (
    [warm_up, _base_.param_scheduler[1]] if _base_.second_phase else [warm_up]
)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
