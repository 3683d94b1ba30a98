"""Ablation: two teachers label together, trained with two seeds (table 4)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

teacher_seeds = [0, 1]
custom_hooks = [
    dict(hook, copy_at_start=False) if hook.type == "MeanTeacherEMAHook" else hook
    for hook in _base_.custom_hooks
]
