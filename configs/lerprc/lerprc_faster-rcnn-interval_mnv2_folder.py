"""LER and PRC by interval certainty, on your own data: 10 % of the labels.

Command: python tools/train.py
         lerprc/lerprc_faster-rcnn-interval_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn-interval_mnv2_folder.py"
_base_.detector.roi_head.bbox_head = _base_.interval_head
# As with Gaussian boxes. The interval head calls its box losses otherwise, and has more
# of them by its own weights.
model = dict(
    type="LerPrcTeacher",
    detector=_base_.detector,
    ler=dict(quality=True, reg_norm="foreground", gain=0.25),
    prc=dict(quality=True, cls_norm="joint", gain=4.0),
    semi_train_cfg=dict(
        ignore_thr=0.2,
        unsup_loss_weights=dict(
            loss_rpn_bbox=0.0, loss_bbox_seg=0.06, loss_bbox_reg=0.12
        ),
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
