"""Mean teacher: Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh mean_teacher/mean_teacher_frcnn_r50_72k_voc.py 8
Published AP: none for this plain baseline; see the table in README.md.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/data/voc_soft_teacher.py",
    "../_base_/schedules/72k.py",
    "../_base_/methods/mean_teacher.py",
]

percent = 100
_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = _base_.student
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
