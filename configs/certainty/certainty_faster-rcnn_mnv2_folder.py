"""Certainty-aware pseudo labels on your own data: tiny detector, 10 % of the labels.

Command: python tools/train.py
         certainty/certainty_faster-rcnn_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
One run trains both phases. To train them apart, with a first phase of any length, use
tools/train_phases.py.
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn-interval_mnv2_folder.py"
_base_.detector.roi_head.bbox_head = _base_.interval_head
model = dict(
    type="CertaintyTeacher",
    detector=_base_.detector,
    semi_train_cfg=dict(
        ignore_thr=0.2,
        # A teacher of so few labels misses the sides by an eighth of the box:
        # not taught.
        unsup_loss_weights=dict(
            loss_rpn_bbox=0.0, loss_bbox_seg=0.0, loss_bbox_reg=0.0
        ),
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
    ),
)
# The teacher is a mean teacher, the variant that the paper names: one that is frozen
# after a short first phase on few images holds the student back.
default_hooks = dict(class_balance=dict(type="ClassBalanceLogHook"))
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
