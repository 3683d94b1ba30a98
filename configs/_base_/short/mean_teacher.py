"""Mean teacher for short runs from few labels: batch, ramp, hooks.

The labelled half of a batch, the learning rate and the schedule are those of the
supervised configs.
"""

_base_ = "../methods/mean_teacher.py"

model = dict(semi_train_cfg=dict(ramp_iters=100, unsup_weight=1.0))
train_dataloader = dict(batch_size=8, num_workers=2, sampler=dict(source_ratio=[1, 1]))
auto_scale_lr = dict(base_batch_size=8)
# A teacher of 0.999 would still be half its start when a short run ends.
ema_hook = dict(type="MeanTeacherEMAHook", momentum=0.99)
custom_hooks = [*_base_.run_hooks, ema_hook, dict(type="PseudoLabelLogHook")]

# A teacher of few labels is unsure of most objects: not taught, not background either.
# For `model.detector.train_cfg`, together with `model.semi_train_cfg.ignore_thr`.
unsure = dict(type="IgnoringMaxIoUAssigner", ignore_iof_thr=0.5)
unsure = dict(rpn=dict(assigner=unsure), rcnn=dict(assigner=unsure))
