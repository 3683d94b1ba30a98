"""What the one-stage detectors share: ResNet-50-FPN from P3, caffe ImageNet weights."""

_base_ = "./faster-rcnn_r50_fpn.py"

student = dict(
    detector=dict(
        _delete_=True,
        data_preprocessor=_base_.student.detector.data_preprocessor,
        backbone=_base_.student.detector.backbone,
        neck=dict(
            type="FPN",
            in_channels=[256, 512, 1024, 2048],
            out_channels=256,
            start_level=1,
            num_outs=5,
        ),
        test_cfg=dict(
            nms_pre=1000,
            min_bbox_size=0,
            score_thr=0.05,
            nms=dict(type="nms", iou_threshold=0.5),
            max_per_img=100,
        ),
    )
)
