"""SGD, a short warm-up and two steps down: the schedules of the papers.

The files beside this one set how long, and with `max_iters` when the rate falls;
`--cfg-options max_iters=1800` shortens a schedule and keeps its shape.
"""

train_cfg = dict(type="IterBasedTrainLoop")
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type="MultiStepLR", by_epoch=False, begin=0, gamma=0.1),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
)
