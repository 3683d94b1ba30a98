"""Training on labelled images alone."""

_base_ = "../runtime.py"

# Eight GPUs see as many labelled images per step as in the semi-supervised configs.
train_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type="RatioSampler", source_ratio=[1], group_by_aspect=True),
    dataset=dict(type="SeededConcatDataset"),
)
val_cfg = dict(type="ValLoop")
test_cfg = dict(type="TestLoop")

default_hooks = dict(checkpoint=dict(save_best="coco/bbox_mAP"))
auto_scale_lr = dict(base_batch_size=8)
