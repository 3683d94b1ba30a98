"""Ablation: the teacher goes on as the student's moving average."""

_base_ = "./certainty_ifrcnn_r50_180k_coco_p10.py"

custom_hooks = [
    dict(hook, teacher="ema") if hook.type == "MeanTeacherEMAHook" else hook
    for hook in _base_.custom_hooks
]
val_cfg = dict(models=["teacher", "student"])
default_hooks = dict(checkpoint=dict(save_best="teacher/coco/bbox_mAP"))
model = dict(semi_test_cfg=dict(predict_on="teacher"))
