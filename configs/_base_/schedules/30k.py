"""30,000 iterations: a certainty-aware teacher on 5 % of the labels of COCO."""

_base_ = "./step_decay.py"

max_iters = int("{{$MAX_ITERS:30000}}")
train_cfg = dict(max_iters=max_iters, val_interval=2_500)
steps = [max_iters * 2 // 3, max_iters * 8 // 9]
_base_.param_scheduler[1].update(end=max_iters, milestones=steps)
