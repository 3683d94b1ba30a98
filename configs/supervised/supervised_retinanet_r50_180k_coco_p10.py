"""Supervised baseline: RetinaNet R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_retinanet_r50_180k_coco_p10.py 8
Published AP: none that we compare with.
"""

_base_ = [
    "../_base_/models/retinanet_r50_fpn.py",
    "../_base_/datasets/coco_partial.py",
    "../_base_/views/soft_teacher.py",
    "../_base_/schedules/180k.py",
    "../_base_/methods/supervised.py",
]

percent = 10

train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.labelled, pipeline=_base_.supervised_pipeline)]),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

# One-stage detectors want half of Faster R-CNN's learning rate.
optim_wrapper = dict(
    optimizer=dict(lr=0.005), clip_grad=dict(max_norm=35.0, norm_type=2)
)
