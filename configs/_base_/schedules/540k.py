"""540,000 iterations: COCO full of the certainty-aware paper, 3x."""

max_iters = int("{{$MAX_ITERS:540000}}")
train_cfg = dict(type="IterBasedTrainLoop", max_iters=max_iters, val_interval=10_000)
param_scheduler = [
    dict(type="LinearLR", start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(
        type="MultiStepLR",
        by_epoch=False,
        begin=0,
        end=max_iters,
        milestones=[max_iters * 2 // 3, max_iters * 8 // 9],
        gamma=0.1,
    ),
]
optim_wrapper = dict(
    type="OptimWrapper",
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
)
