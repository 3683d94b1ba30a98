"""Cascade R-CNN, ResNet-50-FPN, caffe ImageNet weights."""

_base_ = "./faster-rcnn_r50_fpn.py"

_bbox_head = _base_.student.detector.roi_head.bbox_head
_rcnn = _base_.student.detector.train_cfg.rcnn
num_stages = 3

detector = dict(
    type="CascadeRCNN",
    rpn_head=dict(loss_bbox=dict(_delete_=True, type="SmoothL1Loss", beta=1.0 / 9.0)),
    roi_head=dict(
        type="CascadeRoIHead",
        num_stages=num_stages,
        stage_loss_weights=[1, 0.5, 0.25],
        bbox_head=[
            dict(
                _bbox_head,
                reg_class_agnostic=True,
                bbox_coder=dict(_bbox_head.bbox_coder, target_stds=target_stds),
                loss_bbox=dict(type="SmoothL1Loss", beta=1.0),
            )
            for target_stds in (
                [0.1, 0.1, 0.2, 0.2],
                [0.05, 0.05, 0.1, 0.1],
                [0.033, 0.033, 0.067, 0.067],
            )
        ],
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
student = dict(detector=detector)

del detector
