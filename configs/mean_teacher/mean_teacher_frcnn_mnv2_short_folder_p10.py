"""Mean teacher on your own data: tiny Faster R-CNN, 10 % of the labels.

Command: python tools/train.py mean_teacher/mean_teacher_frcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = ["../_base_/short/folder.py"]

percent = 10
teacher_config = "supervised/supervised_frcnn_mnv2_short_folder_p10.py"
model = dict(
    detector=dict(train_cfg=_base_.unsure),
    semi_train_cfg=dict(
        ignore_thr=0.2,
        # Its boxes are off by an eighth of their size: it teaches classes.
        unsup_loss_weights=dict(loss_rpn_bbox=0.0, loss_bbox=0.0),
    ),
)
