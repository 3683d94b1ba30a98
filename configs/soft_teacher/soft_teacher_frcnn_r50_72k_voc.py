"""mmdet's SoftTeacher: Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh soft_teacher/soft_teacher_frcnn_r50_72k_voc.py 8
Published AP: 51.47, AP50 79.00, AP75 57.40 (LER/PRC paper).
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/data/voc_soft_teacher.py",
    "../_base_/schedules/72k.py",
    "../_base_/methods/mean_teacher.py",
    "../_base_/methods/soft_teacher.py",
]

percent = 100
_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = dict(_base_.method, **_base_.student)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.run_hooks, *_base_.method_hooks]
