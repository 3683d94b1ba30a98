"""Mean teacher on the embedded shapes: small RTMDet, 5 % of the labels.

Command: python tools/train.py
         mean_teacher/mean_teacher_rtmdet_nano_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/shapes_detectors.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_rtmdet_nano_shapes.py"
model = dict(
    type="MeanTeacher",
    detector=_base_.rtmdet,
    semi_train_cfg=dict(
        box_hull="ellipse",  # round shapes leave the corners of their boxes empty
        score_thr=0.5,
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
