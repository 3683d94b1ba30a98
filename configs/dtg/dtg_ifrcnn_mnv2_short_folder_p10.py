"""DTG whose kept boxes are chosen by p and interval certainty, on your own data.

Command: python tools/train.py dtg/dtg_ifrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/short/folder.py",
    "../_base_/heads/interval_few_labels_focal.py",
    "../_base_/short/dtg_folder.py",
]

percent = 10
teacher_config = "supervised/supervised_ifrcnn_mnv2_short_folder_p10_abl_focal.py"
_base_.method.dense.rcnn.kept_by = "p*v"
_base_.method.semi_train_cfg.joint_forward = _base_.joint_forward
model = dict(_base_.method, detector=_base_.head)
