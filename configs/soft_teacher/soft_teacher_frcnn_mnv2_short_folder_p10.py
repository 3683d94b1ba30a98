"""mmdet's SoftTeacher on your own data: tiny Faster R-CNN, 10 % of the labels.

Command: python tools/train.py soft_teacher/soft_teacher_frcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = ["../_base_/short/folder.py", "../_base_/short/soft_teacher.py"]

percent = 10
teacher_config = "supervised/supervised_frcnn_mnv2_short_folder_p10.py"
model = _base_.method
custom_hooks = [*_base_.run_hooks, *_base_.method_hooks]
