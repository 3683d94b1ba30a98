"""Ablation: RoIs are classified by focal loss, as DTG does.

Command: python tools/train.py
         supervised/supervised_ifrcnn_mnv2_short_folder_p10_abl_focal.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "./supervised_ifrcnn_mnv2_short_folder_p10.py",
    "../_base_/heads/focal_classifier_few_labels.py",
]

model = dict(roi_head=dict(bbox_head=_base_.classifier))
