"""Mean teacher on the embedded shapes: small RetinaNet, 5 % of the labels.

Command: tools/train.py mean_teacher/mean_teacher_retinanet_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = ["../_base_/short/shapes_one_stage.py"]

percent = 5
teacher_config = "supervised/supervised_retinanet_r18_short_shapes_p05.py"
model = dict(
    detector=dict(train_cfg=dict(assigner=_base_.unsure.rcnn.assigner)),
    # Classes hardly taught, as by DTG: the teacher takes them from the colour.
    semi_train_cfg=dict(
        score_thr=0.5, ignore_thr=0.15, unsup_loss_weights=dict(loss_cls=0.1)
    ),
)
