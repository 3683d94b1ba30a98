"""The short schedule with AdamW at a constant rate, for training from random weights.

On the embedded shapes SGD needs several times as many iterations.
"""

_base_ = "./short.py"

param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.01,
        by_epoch=False,
        begin=0,
        end=20 if _base_.second_phase else 50,
    ),
]
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type="AdamW", lr=1e-3, weight_decay=0.05),
    clip_grad=dict(max_norm=5.0),
)
