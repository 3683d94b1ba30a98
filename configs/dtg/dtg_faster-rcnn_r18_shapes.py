"""DTG on the embedded shapes: small focal Faster R-CNN, 5 % of the labels.

Command: python tools/train.py
         dtg/dtg_faster-rcnn_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn-focal_r18_shapes.py"
_base_.detector.roi_head.bbox_head = _base_.focal_head
model = dict(
    type="DenseGuidanceTeacher",
    detector=_base_.detector,
    # From few labels the teacher is sure of one object in four to six: taken as
    # background, what it doubts soon leaves no cluster; all of it ignored (from 0.1),
    # scores only rise and precision falls. The weights bring the losses of clusters,
    # which are means over their candidates, to the scale of the labelled ones, which
    # are divided by all samples.
    dense=dict(
        rpn=dict(
            mode="dense",
            tau=0.7,
            ignore_thr=0.3,
            level="nearest",
            cls_weight=0.1,
            reg_weight=0.05,
            rank_weight=3.0,
            temperature=1.0,
        ),
        rcnn=dict(
            mode="dense",
            tau=0.45,
            ignore_thr=0.2,
            max_proposals=128,  # as many RoIs as a step on two CPU cores can bear
            cls_weight=0.5,
            reg_weight=0.25,
            rank_weight=3.0,
            temperature=1.0,
        ),
    ),
    semi_train_cfg=dict(
        # A short training by focal loss seldom reaches 0.9: for stages set to "sparse".
        score_thr=0.6,
        box_hull="ellipse",  # round shapes leave the corners of their boxes empty
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
