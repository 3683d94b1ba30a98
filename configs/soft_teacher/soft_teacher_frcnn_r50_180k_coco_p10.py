"""mmdet's SoftTeacher: Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh soft_teacher/soft_teacher_frcnn_r50_180k_coco_p10.py 8
Published AP: 33.8 (mmdet 3.x model zoo; 1/2/5 %: 19.9, 24.9, 30.4).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/data/coco_partial_soft_teacher.py",
    "../_base_/schedules/180k.py",
    "../_base_/methods/mean_teacher.py",
    "../_base_/methods/soft_teacher.py",
]

percent = 10
model = dict(_base_.method, **_base_.student)
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.run_hooks, *_base_.method_hooks]
