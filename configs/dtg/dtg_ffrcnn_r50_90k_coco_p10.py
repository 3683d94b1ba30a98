"""DTG on half the iterations (table 2e): 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_90k_coco_p10.py 8
Published AP: 33.7 (table 2e; 36.3 with 180k iterations).
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_focal.py",
    "../_base_/data/coco_partial_dtg.py",
    "../_base_/schedules/90k.py",
    "../_base_/methods/mean_teacher.py",
    "../_base_/methods/dtg.py",
]

percent = 10
model = dict(_base_.method, **_base_.student)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
