"""mmdet's SoftTeacher in short runs from few labels."""

_base_ = "../methods/soft_teacher.py"

# With the settings for COCO hardly a pseudo label is left, and these count fourfold.
method = dict(
    semi_train_cfg=dict(unsup_weight=1.0, rpn_pseudo_thr=0.7, cls_pseudo_thr=0.7)
)
