"""Mean teacher: Faster R-CNN R50-FPN, all labels of COCO and unlabeled2017.

Command: tools/dist_train.sh mean_teacher/mean_teacher_faster-rcnn_r50_coco_full.py 8
Published AP: none for this plain baseline; see the table in README.md.
Batch and weight as in Soft Teacher: 8 GPUs x 8 images, 1:1, unsupervised weight 2.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco_full.py",
    "./mean_teacher.py",
]

max_iters = 720_000
lr_steps = [2 / 3, 17 / 18]
model = dict(detector=_base_.detector, semi_train_cfg=dict(unsup_weight=2.0))
train_dataloader = dict(
    batch_size=8,
    num_workers=8,
    sampler=dict(source_ratio=[1, 1]),
    dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]),
)
auto_scale_lr = dict(base_batch_size=64)
train_cfg = dict(val_interval=10_000)
default_hooks = dict(checkpoint=dict(interval=10_000))
