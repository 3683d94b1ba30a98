"""1,600 iterations for the tiny detectors: minutes on two CPU cores.

`--cfg-options max_iters=3000` stretches everything but the warm-up. With
`continue_from=CHECKPOINT` a run is a second phase of `max_iters` iterations from a
trained detector, at a quarter of the rate.
"""

max_iters = int("{{$MAX_ITERS:1600}}")
continue_from = "{{$CONTINUE_FROM:none}}"
second_phase = continue_from != "none"
load_from = continue_from if second_phase else None

train_cfg = dict(
    type="IterBasedTrainLoop", max_iters=max_iters, val_interval=max(1, max_iters // 4)
)
param_scheduler = [
    dict(
        type="LinearLR",
        start_factor=0.1 if second_phase else 0.01,
        by_epoch=False,
        begin=0,
        end=20 if second_phase else 100,
    ),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[max_iters * 3 // 4 if second_phase else max_iters * 9 // 10],
        gamma=0.1,
    ),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(
        type="SGD",
        lr=0.0025 if second_phase else 0.01,
        momentum=0.9,
        weight_decay=1e-4,
    ),
    clip_grad=dict(max_norm=10.0, norm_type=2),
)

# Of a teacher and its student: alone, the first half of a run is burn-in; a second
# phase goes on from the labelled images of the first.
burn_in = 0 if second_phase else max_iters // 2
short_hooks = dict(
    logger=dict(interval=20), checkpoint=dict(interval=train_cfg["val_interval"])
)
