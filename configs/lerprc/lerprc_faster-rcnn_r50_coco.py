"""LER and PRC: Gaussian Faster R-CNN R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh lerprc/lerprc_faster-rcnn_r50_coco.py 2
Published AP at 1, 5, 10 %: 20.10, 30.70, 33.52.
Another fold or ratio: add `--fold 2` or `--percent 5`.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/coco.py",
    "./lerprc.py",
]

max_iters = 180_000
_base_.detector.roi_head.bbox_head = _base_.gaussian_head
model = dict(detector=_base_.detector)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
