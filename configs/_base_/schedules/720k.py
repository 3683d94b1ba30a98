"""720,000 iterations: COCO full with the unlabelled images."""

_base_ = "./step_decay.py"

max_iters = int("{{$MAX_ITERS:720000}}")
train_cfg = dict(max_iters=max_iters, val_interval=10_000)
steps = [max_iters * 2 // 3, max_iters * 17 // 18]
_base_.param_scheduler[1].update(end=max_iters, milestones=steps)
