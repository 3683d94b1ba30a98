"""DTG whose kept boxes are chosen by p and interval certainty, on your own data.

Command: python tools/train.py dtg/dtg_ifrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/short/folder.py",
    "../_base_/heads/interval_few_labels.py",
    "../_base_/short/dtg_folder.py",
]

percent = 10
teacher_config = "supervised/supervised_ifrcnn_mnv2_short_folder_p10_abl_focal.py"
# The interval head of the certainty-aware method, classifying by focal loss.
_base_.head.roi_head.bbox_head.update(
    loss_cls=dict(_delete_=True, type="FocalRoILoss", norm="all", loss_weight=4.0),
    cls_predictor_cfg=dict(type="PriorLinear", prior=0.1),
)
_base_.method.dense.rcnn.kept_by = "p*v"
model = dict(_base_.method, detector=_base_.head)
