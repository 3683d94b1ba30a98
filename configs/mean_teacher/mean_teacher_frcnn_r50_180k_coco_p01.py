"""Mean teacher with 1 % of the labels of COCO."""

_base_ = "./mean_teacher_frcnn_r50_180k_coco_p10.py"

percent = 1
