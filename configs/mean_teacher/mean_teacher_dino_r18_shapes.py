"""Mean teacher on the embedded shapes: small DINO, 5 % of the labels.

Command: python tools/train.py
         mean_teacher/mean_teacher_dino_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/shapes_detectors.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_dino_r18_shapes.py"
model = dict(
    type="MeanTeacher",
    detector=_base_.dino,
    semi_train_cfg=dict(
        box_hull="ellipse",  # round shapes leave the corners of their boxes empty
        score_thr=0.4,
    ),
)
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
