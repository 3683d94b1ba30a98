"""Mean teacher: Cascade R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh mean_teacher/mean_teacher_cascade-rcnn_r50_coco.py 8
Published AP: none for this plain baseline; see the table in README.md.
"""

_base_ = [
    "../_base_/cascade-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "./mean_teacher.py",
]

max_iters = 180_000
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
