"""Mean teacher on your own data: tiny Faster R-CNN, 10 % of the labels.

Command: python tools/train.py
         mean_teacher/mean_teacher_faster-rcnn_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn_mnv2_folder.py"
model = dict(
    type="MeanTeacher",
    detector=_base_.detector,
    semi_train_cfg=dict(
        ignore_thr=0.2,
        score_thr=0.8,
        # Its boxes are off by an eighth of their size: it teaches classes.
        unsup_loss_weights=dict(loss_rpn_bbox=0.0, loss_bbox=0.0),
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
