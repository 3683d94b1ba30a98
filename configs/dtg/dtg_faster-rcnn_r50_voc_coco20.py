"""DTG: focal Faster R-CNN R50-FPN, VOC07 labelled, VOC12 and COCO-20 unlabelled.

Command: tools/dist_train.sh dtg/dtg_faster-rcnn_r50_voc_coco20.py 8
Published: AP50 80.63, AP 54.58 (table 4).
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "./dtg.py",
]

max_iters = 90_000
# Pseudo labels are drawn, not judged: nobody knows all true boxes of these images.
hidden_ann_file = None
# One source, so that the unlabelled images come from the union.
unlabelled = dict(
    type="SeededConcatDataset", datasets=[_base_.unlabelled, _base_.coco20]
)
_base_.detector.roi_head.bbox_head = _base_.focal_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, unlabelled]))
