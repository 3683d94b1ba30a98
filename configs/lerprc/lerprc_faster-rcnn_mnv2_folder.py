"""LER and PRC on your own data: tiny Gaussian Faster R-CNN, 10 % of the labels.

Command: python tools/train.py
         lerprc/lerprc_faster-rcnn_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn-gaussian_mnv2_folder.py"
_base_.detector.roi_head.bbox_head = _base_.gaussian_head
model = dict(
    type="LerPrcTeacher",
    detector=_base_.detector,
    # A quarter of equation 11: so was this measured.
    ler=dict(quality=True, reg_norm="foreground", gain=0.25),
    # Divided by their own number, the few foreground candidates get half of the loss:
    # then the teacher's scores rise and the precision of its labels falls to a third.
    # Divided by that of all, their reliability is a seventh of the background's, and
    # the student unlearns objects: the gain makes good for p and s_loc <= 0.5.
    prc=dict(quality=True, cls_norm="joint", gain=4.0),
    # As the plain mean teacher of the same folder, to compare with.
    semi_train_cfg=dict(
        ignore_thr=0.2,
        # Its boxes are off by an eighth of their size: those of the RPN, which have no
        # weights of LER, are not taught.
        unsup_loss_weights=dict(loss_rpn_bbox=0.0),
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
