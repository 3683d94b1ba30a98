"""Certainty-aware pseudo labels on the embedded shapes: small detector, 5 % labels.

Command: python tools/train.py certainty/certainty_ifrcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
The two phases in one run: the burn-in trains the teacher, which is frozen at its end.
Apart, the first one as long as you like: the same with tools/train_phases.py.
"""

_base_ = [
    "../_base_/short/shapes.py",
    "../_base_/heads/interval_expected.py",
    "../_base_/methods/certainty.py",
]

percent = 5
teacher_config = "supervised/supervised_ifrcnn_r18_short_shapes_p05.py"
# Of few labels most detections are doubtful; counted, they would push all weights up,
# and so does an average by count where p * v is small.
_base_.method.class_balance.update(floor=0.5, average="evidence")
model = dict(
    _base_.method,
    detector=dict(_base_.head, train_cfg=_base_.unsure),
    semi_train_cfg=dict(
        ignore_thr=0.15,
        # Where objects are more than what they are, as for the plain mean teacher here;
        # the boxes of a teacher that stays as it is after the burn-in hold back.
        unsup_loss_weights=dict(
            loss_cls=0.1, loss_rpn_bbox=0.0, loss_bbox_seg=0.0, loss_bbox_reg=0.0
        ),
    ),
)
custom_hooks = [*_base_.run_hooks, *_base_.method_hooks, *_base_.pseudo_label_hooks]
# The frozen teacher does not change: only the student is worth a look.
val_cfg = dict(models=["student"])
default_hooks = dict(checkpoint=dict(save_best="student/coco/bbox_mAP"))
