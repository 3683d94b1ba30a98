"""Supervised baseline: Faster R-CNN R50-FPN on VOC07 trainval, tested on VOC07 test.

Command: tools/dist_train.sh supervised/supervised_frcnn_r50_72k_voc.py 8
Published AP: none in the three papers' VOC tables.
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn.py",
    "../_base_/datasets/voc.py",
    "../_base_/views/soft_teacher.py",
    "../_base_/schedules/72k.py",
    "../_base_/methods/supervised.py",
]

percent = 100

model = dict(roi_head=dict(bbox_head=dict(num_classes=_base_.num_classes)))

train_dataloader = dict(
    dataset=dict(datasets=[dict(_base_.labelled, pipeline=_base_.supervised_pipeline)]),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader
