"""Supervised baseline: RetinaNet R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_retinanet_r50_180k_coco_p10.py 8
Published AP: none that we compare with.
"""

_base_ = [
    "../_base_/models/retinanet_r50_fpn.py",
    "../_base_/data/coco_partial_soft_teacher.py",
    "../_base_/schedules/180k_one_stage.py",
    "../_base_/methods/supervised.py",
]

percent = 10
model = _base_.student.detector
train_dataloader = dict(dataset=dict(datasets=_base_.supervised_sources))
