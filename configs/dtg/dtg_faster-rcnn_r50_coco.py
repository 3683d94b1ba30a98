"""DTG: focal Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_faster-rcnn_r50_coco.py 8
Published AP at 1, 2, 5, 10 %: 21.27, 26.84, 31.90, 35.92 (table 1; 36.3 at 10 % on the
single fold of the ablations).
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "./dtg.py",
]

max_iters = 180_000
_base_.detector.roi_head.bbox_head = _base_.focal_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
