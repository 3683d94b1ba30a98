"""Ablation: the teacher follows the student (mean teacher)."""

_base_ = "./certainty_ifrcnn_mnv2_short_folder_p10.py"

custom_hooks = [
    # A teacher of 0.999 would still be half its start when a short run ends.
    dict(type="MeanTeacherEMAHook", momentum=0.99)
    if hook.type == "MeanTeacherEMAHook"
    else hook
    for hook in _base_.custom_hooks
]
val_cfg = dict(models=["teacher", "student"])
default_hooks = dict(checkpoint=dict(save_best="teacher/coco/bbox_mAP"))
model = dict(semi_test_cfg=dict(predict_on="teacher"))
