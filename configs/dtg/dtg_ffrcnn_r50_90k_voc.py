"""DTG: focal Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_90k_voc.py 8
Published: AP50 79.20, AP 53.18 (table 4).
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_focal.py",
    "../_base_/data/voc_dtg.py",
    "../_base_/schedules/90k.py",
    "../_base_/methods/mean_teacher.py",
    "../_base_/methods/dtg.py",
]

percent = 100
_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = dict(_base_.method, **_base_.student)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
