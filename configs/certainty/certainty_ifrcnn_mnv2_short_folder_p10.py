"""Certainty-aware pseudo labels on your own data: tiny detector, 10 % of the labels.

Command: python tools/train.py certainty/certainty_ifrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
The two phases in one run: the burn-in trains the teacher, which is frozen at its end.
Apart, the first one as long as you like: the same with tools/train_phases.py.
"""

_base_ = [
    "../_base_/short/folder.py",
    "../_base_/heads/interval_few_labels.py",
    "../_base_/methods/certainty.py",
]

percent = 10
teacher_config = "supervised/supervised_ifrcnn_mnv2_short_folder_p10.py"
# Of few labels most detections are doubtful; counted, they would push all weights up,
# and so does an average by count where p * v is small.
_base_.method.class_balance.update(floor=0.5, average="evidence")
model = dict(
    _base_.method,
    detector=dict(_base_.head, train_cfg=_base_.unsure),
    semi_train_cfg=dict(
        ignore_thr=0.2,
        # A teacher of so few labels misses the sides by an eighth of the box:
        # not taught.
        unsup_loss_weights=dict(
            loss_rpn_bbox=0.0, loss_bbox_seg=0.0, loss_bbox_reg=0.0
        ),
    ),
)
custom_hooks = [*_base_.run_hooks, *_base_.method_hooks, *_base_.pseudo_label_hooks]
# The frozen teacher does not change: only the student is worth a look.
val_cfg = dict(models=["student"])
default_hooks = dict(checkpoint=dict(save_best="student/coco/bbox_mAP"))
