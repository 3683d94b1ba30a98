"""Certainty-aware pseudo labels without certainty, on the shapes: plain box head.

Command: python tools/train.py
         certainty/certainty_faster-rcnn-plain_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
One run trains both phases. To train them apart, with a first phase of any length, use
tools/train_phases.py.
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn_r18_shapes.py"
model = dict(
    type="CertaintyTeacher",
    detector=_base_.detector,
    semi_train_cfg=dict(
        box_hull="ellipse",  # round shapes leave the corners of their boxes empty
        ignore_thr=0.15,
        score_thr=0.8,  # as the plain mean teacher here
    ),
    # Of few labels most detections are doubtful; counted, they would push all weights
    # up, and so does an average by count where p * v is small.
    class_balance=dict(
        type="ClassBalance",
        g1=0.05,
        g2=0.6,
        clip=(0.4, 0.9),
        floor=0.5,
        average="evidence",
        use_loc=False,
    ),
)
# The teacher is a mean teacher, the variant that the paper names: one that is frozen
# after a short first phase on 50 images holds the student back.
default_hooks = dict(class_balance=dict(type="ClassBalanceLogHook"))
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
