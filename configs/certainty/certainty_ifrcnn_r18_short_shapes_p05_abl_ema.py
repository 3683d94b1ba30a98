"""Ablation: the teacher follows the student (mean teacher)."""

_base_ = "./certainty_ifrcnn_r18_short_shapes_p05.py"

# The hook that moves the teacher is the first after those of every run.
_base_.custom_hooks[len(_base_.run_hooks)] = _base_.ema_hook
val_cfg = dict(models=["teacher", "student"])
default_hooks = dict(checkpoint=dict(save_best="teacher/coco/bbox_mAP"))
model = dict(semi_test_cfg=dict(predict_on="teacher"))
