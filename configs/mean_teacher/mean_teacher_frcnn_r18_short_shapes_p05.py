"""Mean teacher on the embedded shapes: small Faster R-CNN, 5 % of the labels.

Command: python tools/train.py mean_teacher/mean_teacher_frcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = ["../_base_/short/shapes.py"]

percent = 5
teacher_config = "supervised/supervised_frcnn_r18_short_shapes_p05.py"
model = dict(
    detector=dict(train_cfg=_base_.unsure),
    semi_train_cfg=dict(
        ignore_thr=0.15,
        # From 50 images a teacher places boxes well (IoU 0.83) but takes the class
        # from the colour, and is sure of it: it teaches where objects are, not what
        # they are.
        unsup_loss_weights=dict(loss_cls=0.0),
    ),
)
