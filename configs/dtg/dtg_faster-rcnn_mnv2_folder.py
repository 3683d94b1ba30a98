"""DTG on your own data: tiny focal Faster R-CNN, 10 % of the labels.

Command: python tools/train.py
         dtg/dtg_faster-rcnn_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn-focal_mnv2_folder.py"
_base_.detector.roi_head.bbox_head = _base_.focal_head
model = dict(
    type="DenseGuidanceTeacher",
    detector=_base_.detector,
    # From few labels the teacher is sure of one object in four to six: taken as
    # background, what it doubts soon leaves no cluster; all of it ignored (from 0.1),
    # scores only rise and precision falls. The weights bring the losses of clusters,
    # which are means over their candidates, to the scale of the labelled ones, which
    # are divided by all samples.
    # From 45 images of the aquarium a focal teacher's boxes are off by an eighth of
    # their size: hardly taught.
    dense=dict(
        rpn=dict(
            mode="dense",
            tau=0.7,
            ignore_thr=0.3,
            level="nearest",
            cls_weight=0.1,
            reg_weight=0.02,
            rank_weight=3.0,
            temperature=1.0,
        ),
        # The classification weight makes up for the focal head's own factor of 4:
        # clusters are no part of what it makes up for. The proposals are those that the
        # detector has at test; with the best 128 it gains less than half as much. Of
        # the background among them the student sees as much as a step on two cores can
        # bear.
        rcnn=dict(
            mode="dense",
            tau=0.5,
            ignore_thr=0.2,
            max_proposals=300,
            max_background=48,
            cls_weight=0.125,
            reg_weight=0.02,
            rank_weight=3.0,
            temperature=1.0,
        ),
    ),
    semi_train_cfg=dict(
        # A short training by focal loss seldom reaches 0.9: for stages set to "sparse".
        score_thr=0.6,
        # On a CPU one pass for both halves of a batch saves nothing, and stacking pads.
        joint_forward=False,
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
