"""270,000 iterations: COCO full supervised (`3x`)."""

_base_ = "./step_decay.py"

max_iters = int("{{$MAX_ITERS:270000}}")
train_cfg = dict(max_iters=max_iters, val_interval=10_000)
steps = [max_iters * 2 // 3, max_iters * 8 // 9]
_base_.param_scheduler[1].update(end=max_iters, milestones=steps)
