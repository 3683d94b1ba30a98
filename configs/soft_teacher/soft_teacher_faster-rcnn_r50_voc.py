"""mmdet's SoftTeacher: Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh soft_teacher/soft_teacher_faster-rcnn_r50_voc.py 8
Published AP: 51.47, AP50 79.00, AP75 57.40 (LER/PRC paper).
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "./soft_teacher.py",
]

max_iters = 72_000
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
train_cfg = dict(val_interval=4_000)
