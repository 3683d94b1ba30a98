"""Ablation: RoIs are classified by focal loss, as DTG does."""

_base_ = [
    "./supervised_frcnn_mnv2_short_folder_p10.py",
    "../_base_/heads/focal_interval_few_labels.py",
]

model = _base_.head
