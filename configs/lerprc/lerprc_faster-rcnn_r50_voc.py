"""LER and PRC: Gaussian Faster R-CNN R50-FPN, VOC07 labelled, VOC12 unlabelled.

Command: tools/dist_train.sh lerprc/lerprc_faster-rcnn_r50_voc.py 2
Published AP: 52.81, AP50 80.40, AP75 58.80.
"""

_base_ = [
    "../_base_/faster-rcnn_r50_fpn.py",
    "../_base_/voc.py",
    "./lerprc.py",
]

max_iters = 72_000
_base_.detector.roi_head.bbox_head = _base_.gaussian_head
model = dict(detector=_base_.detector, semi_train_cfg=dict(unsup_weight=2.0))
train_dataloader = dict(
    batch_size=8,
    sampler=dict(source_ratio=[1, 1]),
    dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]),
)
auto_scale_lr = dict(base_batch_size=16)
train_cfg = dict(val_interval=4_000)
