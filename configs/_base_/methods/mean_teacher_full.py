"""Mean teacher on all labels of COCO, with batch and weight of Soft Teacher.

On each of eight GPUs four labelled images and four unlabelled ones.
"""

_base_ = "./mean_teacher.py"

model = dict(semi_train_cfg=dict(unsup_weight=2.0))
train_dataloader = dict(batch_size=8, num_workers=8, sampler=dict(source_ratio=[1, 1]))
auto_scale_lr = dict(base_batch_size=64)
default_hooks = dict(checkpoint=dict(interval=10_000))
