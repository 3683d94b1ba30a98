"""1,600 iterations for the tiny detectors: minutes on two CPU cores.

`--cfg-options max_iters=3000` stretches everything but the warm-up. With
`continue_from=CHECKPOINT` a run is the second half of the schedule, `max_iters` long,
from the checkpoint at the middle of the first run.
"""

max_iters = int("{{$MAX_ITERS:1600}}")
continue_from = "{{$CONTINUE_FROM:none}}"
before = 0 if continue_from == "none" else max_iters
total_iters = before + max_iters

train_cfg = dict(
    type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max(1, max_iters // 4)
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.1 if before else 0.01,
        by_epoch=False,
        begin=0,
        end=20 if before else 100,
    ),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[total_iters * 3 // 4 - before],
        gamma=0.1,
    ),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
    clip_grad=dict(max_norm=10.0, norm_type=2),
)
