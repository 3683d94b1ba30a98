"""COCO, detectors beside Faster R-CNN: labels alone and the mean teacher.

Command: python tools/sweep.py coco_detectors run --gpus-per-run 8
One row: tools/dist_train.sh coco_detectors:rtmdet_tiny 8
"""

title = "COCO, other detectors"
ratios = [1, 5, 10]
baseline = "supervised_dino"
methods = dict(
    supervised_dino=dict(
        label="supervised, DINO", config="supervised/supervised_dino_r50_coco.py"
    ),
    dino=dict(
        label="mean teacher, DINO", config="mean_teacher/mean_teacher_dino_r50_coco.py"
    ),
    supervised_deformable_detr=dict(
        label="supervised, Deformable DETR",
        config="supervised/supervised_deformable-detr_r50_coco.py",
    ),
    deformable_detr=dict(
        label="mean teacher, Deformable DETR",
        config="mean_teacher/mean_teacher_deformable-detr_r50_coco.py",
    ),
    supervised_rtmdet=dict(
        label="supervised, RTMDet-s",
        ratios=[10],
        config="supervised/supervised_rtmdet_s_coco.py",
    ),
    rtmdet=dict(
        label="mean teacher, RTMDet-s",
        ratios=[10],
        config="mean_teacher/mean_teacher_rtmdet_s_coco.py",
    ),
    supervised_yolox=dict(
        label="supervised, YOLOX-s",
        ratios=[10],
        config="supervised/supervised_yolox_s_coco.py",
    ),
    yolox=dict(
        label="mean teacher, YOLOX-s",
        ratios=[10],
        config="mean_teacher/mean_teacher_yolox_s_coco.py",
    ),
)


def _tiny(detector):
    """RTMDet-tiny in place of RTMDet-s."""
    widths = {
        "backbone.deepen_factor": 0.167,
        "backbone.widen_factor": 0.375,
        "neck.in_channels": [96, 192, 384],
        "neck.out_channels": 96,
        "bbox_head.in_channels": 96,
        "bbox_head.feat_channels": 96,
    }
    weights = (
        "https://mmassets.onedl.ai/mmdetection/v3.0/rtmdet/cspnext_rsb_pretrain/"
        "cspnext-tiny_imagenet_600e.pth"
    )
    options = {f"{detector}.{key}": value for key, value in widths.items()}
    return {**options, "pretrained": weights}


overrides = dict(
    # MixPL's mosaics and mixup, without its resampling of rare classes.
    dino_mixed=dict(
        label="with mosaics and mixup",
        of="dino",
        options={"model.mixing.pseudo_mixup": 1.0, "model.mixing.pseudo_mosaic": 1.0},
        published={1: 31.7, 5: 40.1, 10: 44.6},
    ),
    supervised_rtmdet_tiny=dict(
        label="RTMDet-tiny",
        of="supervised_rtmdet",
        ratios=[10],
        options=_tiny("model"),
    ),
    rtmdet_tiny=dict(
        label="RTMDet-tiny",
        of="rtmdet",
        ratios=[10],
        options=_tiny("model.detector"),
    ),
)
