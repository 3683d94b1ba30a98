"""DTG on a one-stage detector: RetinaNet R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_retinanet_r50_180k_coco_p10.py 8
Published AP: none; the paper names one-stage detectors without numbers.
"""

_base_ = [
    "../_base_/models/retinanet_r50_fpn.py",
    "../_base_/data/coco_partial_dtg.py",
    "../_base_/schedules/180k_one_stage.py",
    "../_base_/methods/mean_teacher.py",
    "../_base_/methods/dtg.py",
]

percent = 10
# One stage, one set of clusters: all anchors and classes.
_base_.method.dense = dict(head=dict(tau=0.45))
model = dict(_base_.method, **_base_.student)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
