"""mmdet's SoftTeacher on the embedded shapes: small Faster R-CNN, 5 % of the labels.

Command: python tools/train.py soft_teacher/soft_teacher_frcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = ["../_base_/short/shapes.py", "../_base_/short/soft_teacher.py"]

percent = 5
teacher_config = "supervised/supervised_frcnn_r18_short_shapes_p05.py"
model = _base_.method
custom_hooks = [*_base_.run_hooks, *_base_.method_hooks]
