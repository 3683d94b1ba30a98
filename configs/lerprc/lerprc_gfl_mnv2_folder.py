"""LER on a one-stage detector, on your own data: small GFL, 10 % of the labels.

Command: python tools/train.py
         lerprc/lerprc_gfl_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_gfl_mnv2_folder.py"
_base_.gfl.bbox_head.type = "LocQualityGFLHead"
model = dict(
    type="LerPrcTeacher",
    detector=_base_.gfl,
    # PRC is a matter of RoI candidates.
    ler=dict(quality=True),
    prc=None,
    # As the plain mean teacher of the same folder, to compare with.
    semi_train_cfg=dict(
        score_thr=0.6,
        ignore_thr=0.2,
        # Boxes around rotated boxes are too large, and here they are taught.
        box_hull="ellipse",
        unsup_loss_weights=dict(loss_bbox=0.25, loss_dfl=0.25),
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
