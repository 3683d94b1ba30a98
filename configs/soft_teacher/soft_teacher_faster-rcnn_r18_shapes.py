"""mmdet's SoftTeacher on the embedded shapes: small Faster R-CNN, 5 % of the labels.

Command: python tools/train.py
         soft_teacher/soft_teacher_faster-rcnn_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn_r18_shapes.py"
model = dict(
    type="SoftTeacher",
    detector=_base_.detector,
    semi_train_cfg=dict(
        _delete_=True,
        freeze_teacher=True,
        sup_weight=1.0,
        # With the settings for COCO hardly a pseudo label is left, and these count
        # fourfold.
        unsup_weight=1.0,
        rpn_pseudo_thr=0.7,
        cls_pseudo_thr=0.7,
        pseudo_label_initial_score_thr=0.5,
        reg_pseudo_thr=0.02,
        jitter_times=10,
        jitter_scale=0.06,
        min_pseudo_bbox_wh=(1e-2, 1e-2),
    ),
)
# It keeps no record of its pseudo labels: there is nothing to log or to draw.
default_hooks = dict(
    teacher=dict(momentum=0.999),
    pseudo_labels=None,
    label_quality=None,
    drawing=None,
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
