"""Ablation: a plain box head, no certainty."""

_base_ = "./certainty_ifrcnn_r18_short_shapes_p05.py"

teacher_config = "supervised/supervised_frcnn_r18_short_shapes_p05.py"
head = dict(_base_.student.detector.roi_head.bbox_head, _delete_=True)
weights = dict(_delete_=True, loss_cls=0.1, loss_rpn_bbox=0.0, loss_bbox=0.0)
model = dict(
    detector=dict(roi_head=dict(bbox_head=head)),
    class_balance=dict(use_loc=False),
    semi_train_cfg=dict(unsup_loss_weights=weights),
)

del head, weights
