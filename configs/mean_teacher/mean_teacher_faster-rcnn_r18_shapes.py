"""Mean teacher on the embedded shapes: small Faster R-CNN, 5 % of the labels.

Command: python tools/train.py
         mean_teacher/mean_teacher_faster-rcnn_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn_r18_shapes.py"
model = dict(
    type="MeanTeacher",
    detector=_base_.detector,
    semi_train_cfg=dict(
        box_hull="ellipse",  # round shapes leave the corners of their boxes empty
        ignore_thr=0.15,
        # Of 50 images a teacher is too sure: at 0.7 a third of its labels is wrong.
        score_thr=0.8,
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
