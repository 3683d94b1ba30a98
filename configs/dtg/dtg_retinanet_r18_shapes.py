"""DTG on a one-stage detector, the embedded shapes: small RetinaNet, 5 % of the labels.

Command: python tools/train.py
         dtg/dtg_retinanet_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_retinanet_r18_shapes.py"
model = dict(
    type="DenseGuidanceTeacher",
    detector=_base_.retinanet,
    # One stage, one set of clusters: all anchors and classes.
    dense=dict(
        head=dict(
            tau=0.45,
            ignore_thr=0.2,
            level="nearest",
            cls_weight=0.1,
            reg_weight=0.1,
            rank_weight=0.75,
        )
    ),
    # Round shapes leave the corners of their boxes empty.
    semi_train_cfg=dict(box_hull="ellipse"),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
