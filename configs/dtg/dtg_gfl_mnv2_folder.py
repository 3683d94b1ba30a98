"""DTG on a one-stage detector, on your own data: small GFL, 10 % of the labels.

Command: python tools/train.py
         dtg/dtg_gfl_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_gfl_mnv2_folder.py"
model = dict(
    type="DenseGuidanceTeacher",
    detector=_base_.gfl,
    # One stage, one set of clusters: all anchors and classes.
    dense=dict(
        head=dict(
            tau=0.5,
            ignore_thr=0.2,
            level="nearest",
            cls_weight=0.5,
            reg_weight=0.1,
            rank_weight=1.5,
        )
    ),
    # Boxes around rotated boxes are too large, and here they are taught.
    semi_train_cfg=dict(box_hull="ellipse"),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
