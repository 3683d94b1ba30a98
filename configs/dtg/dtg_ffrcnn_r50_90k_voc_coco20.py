"""DTG: focal Faster R-CNN R50-FPN, VOC07 labelled, VOC12 and COCO-20 unlabelled.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_90k_voc_coco20.py 8
Published: AP50 80.63, AP 54.58 (table 4).
"""

_base_ = [
    "./dtg_ffrcnn_r50_90k_voc.py",
    "../_base_/datasets/coco20.py",
]

labelled_voc, voc12 = _base_.semi_sources
coco20 = dict(_base_.unlabelled_coco20, pipeline=voc12.pipeline)
# One source, so that the four unlabelled images come from the union.
union = dict(type="SeededConcatDataset", datasets=[voc12, coco20])
train_dataloader = dict(dataset=dict(datasets=[labelled_voc, union]))
custom_hooks = [*_base_.custom_hooks[:-2], *_base_.unjudged_hooks]
