"""What every run shares: registration, plain training, hooks, logging."""

custom_imports = dict(
    imports=["ssod_mm.data", "ssod_mm.models", "ssod_mm.engine", "ssod_mm.evaluation"],
    allow_failed_imports=False,
)
default_scope = "mmdet"

# Chosen on the command line (--fold, --seed, and --percent), never by a new file.
fold = 1
seed = 0

# Labelled images alone. Eight GPUs see as many of them per step as with a teacher.
train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="RatioSampler", source_ratio=[1], group_by_aspect=True),
    dataset=dict(type="SeededConcatDataset"),
)
train_cfg = dict(type="IterBasedTrainLoop", val_interval=5_000)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

# A hook is changed by its name: `default_hooks = dict(logger=dict(interval=20))`.
default_hooks = dict(
    timer=dict(type="IterTimerHook"),
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type="ParamSchedulerHook"),
    checkpoint=dict(
        type="DurableCheckpointHook",
        by_epoch=False,
        interval=5_000,
        max_keep_ckpts=2,
        rule="greater",
        save_best="coco/bbox_mAP",
    ),
    # The sampler seeds itself and each of its draws.
    sampler_seed=None,
    iteration_seed=dict(type="IterationSeedHook"),
    nan_guard=dict(type="StopOnNaNHook"),
    class_count=dict(type="ClassCountHook"),
    run_record=dict(type="RunRecordHook"),
)

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

# The learning rate of a config belongs to `base_batch_size` images per step (all GPUs
# together); another batch scales it linearly and the log says so.
auto_scale_lr = dict(enable=True, base_batch_size=8)
