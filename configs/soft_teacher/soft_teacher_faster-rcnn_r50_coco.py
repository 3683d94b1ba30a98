"""mmdet's SoftTeacher: Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh soft_teacher/soft_teacher_faster-rcnn_r50_coco.py 8
Published AP: 33.8 (mmdet 3.x model zoo; 1/2/5 %: 19.9, 24.9, 30.4).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "./soft_teacher.py",
]

max_iters = 180_000
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
