"""Mean teacher: Faster R-CNN R50-FPN, VOC07 labelled, VOC12 and COCO-20 unlabelled.

Command: tools/dist_train.sh mean_teacher/mean_teacher_frcnn_r50_72k_voc_coco20.py 8
Published AP: none for this plain baseline; see the table in README.md.
"""

_base_ = [
    "./mean_teacher_frcnn_r50_72k_voc.py",
    "../_base_/datasets/coco20.py",
]

labelled_voc, voc12 = _base_.semi_sources
coco20 = dict(_base_.unlabelled_coco20, pipeline=voc12.pipeline)
# One source, so that the four unlabelled images come from the union.
union = dict(type="SeededConcatDataset", datasets=[voc12, coco20])
train_dataloader = dict(dataset=dict(datasets=[labelled_voc, union]))
custom_hooks = [*_base_.custom_hooks[:-2], *_base_.unjudged_hooks]
