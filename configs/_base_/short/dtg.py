"""Dense teacher guidance in short runs from few labels."""

_base_ = "../methods/dtg.py"

method = dict(
    dense=dict(
        # From few labels the teacher is sure of one object in four to six: taken as
        # background, what it doubts soon leaves no cluster; all of it ignored (from
        # 0.1), scores only rise and precision falls. The weights bring the losses of
        # clusters, which are means over their candidates, to the scale of the labelled
        # ones, which are divided by all samples.
        rpn=dict(
            tau=0.7, ignore_thr=0.3, level="nearest", cls_weight=0.1, reg_weight=0.05
        ),
        # As many RoIs of an image as a step on two CPU cores can bear.
        rcnn=dict(
            max_proposals=128,
            ignore_thr=0.2,
            cls_weight=0.25,
            reg_weight=0.1,
            rank_weight=0.75,
        ),
    ),
    # A short training by focal loss seldom reaches 0.9: for stages set to "sparse".
    semi_train_cfg=dict(_delete_=True, score_thr=0.6),
)
