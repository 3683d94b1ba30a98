"""DTG on your own data: tiny focal Faster R-CNN, 10 % of the labels.

Command: python tools/train.py dtg/dtg_ffrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/short/folder.py",
    "../_base_/heads/focal_few_labels.py",
    "../_base_/short/dtg_folder.py",
]

percent = 10
teacher_config = "supervised/supervised_ffrcnn_mnv2_short_folder_p10.py"
_base_.method.semi_train_cfg.joint_forward = _base_.joint_forward
model = dict(_base_.method, detector=_base_.head)
