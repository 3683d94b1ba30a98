"""LER and PRC as the paper trains it, on two GPUs.

On each of them two labelled images and eight unlabelled ones. The paper states neither
a burn-in nor a ramp.
"""

_base_ = ["./mean_teacher.py", "./lerprc.py"]

_base_.method.semi_train_cfg.update(burn_in=0, ramp_iters=0)
model = _base_.method
train_dataloader = dict(batch_size=10, num_workers=8)
auto_scale_lr = dict(base_batch_size=20)
