"""Mean teacher: Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh mean_teacher/mean_teacher_faster-rcnn_r50_voc.py 8
Published AP: none for this plain baseline; see the table in README.md.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "./mean_teacher.py",
]

max_iters = 72_000
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
train_cfg = dict(val_interval=4_000)
