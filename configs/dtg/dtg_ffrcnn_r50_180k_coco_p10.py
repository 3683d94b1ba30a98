"""DTG: focal Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_180k_coco_p10.py 8
Published AP: 35.92 (table 1; 36.3 on the single fold of the ablations).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_focal.py",
    "../_base_/data/coco_partial_dtg.py",
    "../_base_/schedules/180k.py",
    "../_base_/methods/mean_teacher.py",
    "../_base_/methods/dtg.py",
]

percent = 10
model = dict(_base_.method, **_base_.student)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
