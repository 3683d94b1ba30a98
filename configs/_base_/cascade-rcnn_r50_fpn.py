"""Cascade R-CNN, ResNet-50-FPN, caffe ImageNet weights; schedule as Faster R-CNN.

As there, the box heads of a method take the place of the plain ones, in every stage:
    _base_.detector.roi_head.bbox_head = _base_.interval_head
"""

_base_ = "./faster-rcnn_r50_fpn.py"

_stages = [
    dict(
        reg_class_agnostic=True,
        bbox_coder=dict(_base_.box_head.bbox_coder, target_stds=target_stds),
        loss_bbox=dict(type="SmoothL1Loss", beta=1.0),
    )
    for target_stds in (
        [0.1, 0.1, 0.2, 0.2],
        [0.05, 0.05, 0.1, 0.1],
        [0.033, 0.033, 0.067, 0.067],
    )
]
box_head = [dict(_base_.box_head, **stage) for stage in _stages]
interval_head = [
    dict(_base_.interval_head, reg_class_agnostic=True) for stage in _stages
]
gaussian_head = [
    dict(_base_.gaussian_head, **{**stage, "loss_bbox": _base_.gaussian_head.loss_bbox})
    for stage in _stages
]
_rcnn = _base_.detector.train_cfg.rcnn

detector = dict(
    type="CascadeRCNN",
    rpn_head=dict(loss_bbox=dict(_delete_=True, type="SmoothL1Loss", beta=1.0 / 9.0)),
    roi_head=dict(
        type="CascadeRoIHead",
        num_stages=3,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=box_head,
    ),
    train_cfg=dict(
        rpn_proposal=dict(max_per_img=2000),
        rcnn=[
            dict(
                _rcnn,
                assigner=dict(
                    _rcnn.assigner, pos_iou_thr=iou, neg_iou_thr=iou, min_pos_iou=iou
                ),
            )
            for iou in (0.5, 0.6, 0.7)
        ],
    ),
)
