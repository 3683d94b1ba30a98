"""What every run shares: registration, hooks, logging and the three run keys."""

custom_imports = dict(
    imports=["ssod_mm.data", "ssod_mm.models", "ssod_mm.engine", "ssod_mm.evaluation"],
    allow_failed_imports=False,
)
default_scope = "mmdet"

# Chosen on the command line (--fold, --percent, --seed), never by a new file.
# "{fold}" and "{percent}" in any string below are filled just before the run is built.
fold = 1
percent = 10
seed = 0

default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="DurableCheckpointHook",
        by_epoch=False,
        interval=5000,
        max_keep_ckpts=2,
        rule="greater",
    ),
    # The sampler seeds itself and each of its draws.
    sampler_seed=None,
)
# Those of every run; a method adds its own to `custom_hooks`.
run_hooks = [
    dict(type="IterationSeedHook"),
    dict(type="StopOnNaNHook"),
    dict(type="ClassCountHook"),
    dict(type="RunRecordHook"),
]
custom_hooks = run_hooks

env_cfg = dict(
    cudnn_benchmark=False,
    mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
    dist_cfg=dict(backend="nccl"),
)

# Scalars go to json lines below the work folder and to TensorBoard event files. Drop
# the second entry to go without; add dict(type="WandbVisBackend") to have W&B as well.
vis_backends = [dict(type="LocalVisBackend"), dict(type="TensorboardVisBackend")]
visualizer = dict(
    type="DetLocalVisualizer", vis_backends=vis_backends, name="visualizer"
)
log_processor = dict(type="LogProcessor", window_size=50, by_epoch=False)
log_level = "INFO"

resume = False

# The learning rate of a schedule belongs to `base_batch_size` images per step (all
# GPUs together); another batch scales it linearly and the log says so.
auto_scale_lr = dict(enable=True, base_batch_size=40)
