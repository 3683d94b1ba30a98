"""Mean teacher on the embedded shapes: small RetinaNet, 5 % of the labels.

Command: python tools/train.py
         mean_teacher/mean_teacher_retinanet_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_retinanet_r18_shapes.py"
model = dict(
    type="MeanTeacher",
    detector=_base_.retinanet,
    semi_train_cfg=dict(
        box_hull="ellipse",  # round shapes leave the corners of their boxes empty
        score_thr=0.5,
        ignore_thr=0.15,
        # Classes hardly taught, as by DTG: the teacher takes them from the colour.
        unsup_loss_weights=dict(loss_cls=0.1),
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
