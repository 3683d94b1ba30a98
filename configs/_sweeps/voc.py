"""VOC07 labelled; VOC12, and with COCO-20, unlabelled: the tables of the three papers.

Command: python tools/sweep.py voc run --gpus-per-run 4
"""

title = "VOC"
baseline = "supervised"

_multi_scale = {
    "views.scale": [(1333, 640), (1333, 800)],
    "views.test_scale": (1333, 800),
}
methods = dict(
    supervised=dict(config="supervised/supervised_faster-rcnn_r50_voc.py"),
    soft_teacher=dict(
        label="SoftTeacher of mmdet",
        config="soft_teacher/soft_teacher_faster-rcnn_r50_voc.py",
        published=51.47,
    ),
    mean_teacher=dict(config="mean_teacher/mean_teacher_faster-rcnn_r50_voc.py"),
    mean_teacher_coco20=dict(
        label="mean teacher, COCO-20",
        config="mean_teacher/mean_teacher_faster-rcnn_r50_voc_coco20.py",
    ),
    certainty=dict(
        label="certainty-aware",
        config="certainty/certainty_faster-rcnn_r50_voc.py",
        published=52.4,
        table="1b",
    ),
    certainty_coco20=dict(
        label="certainty-aware, COCO-20",
        config="certainty/certainty_faster-rcnn_r50_voc_coco20.py",
        published=54.0,
        table="1c",
    ),
    lerprc=dict(
        label="LER and PRC",
        config="lerprc/lerprc_faster-rcnn_r50_voc.py",
        published=52.81,
    ),
    dtg=dict(
        label="DTG",
        config="dtg/dtg_faster-rcnn_r50_voc.py",
        published=53.18,
        table="4",
    ),
    dtg_coco20=dict(
        label="DTG, COCO-20",
        config="dtg/dtg_faster-rcnn_r50_voc_coco20.py",
        published=54.58,
        table="4",
    ),
)
overrides = dict(
    multi_scale=dict(
        of="certainty",
        options=_multi_scale,
        teacher_options=_multi_scale,
        published=54.6,
        table="1b",
    ),
    coco20_multi_scale=dict(
        label="multi-scale",
        of="certainty_coco20",
        options=_multi_scale,
        teacher_options=_multi_scale,
        published=56.1,
        table="1c",
    ),
    coco20_multi_scale_ratio11=dict(
        label="multi-scale, labelled and unlabelled images 1:1",
        of="certainty_coco20",
        options={
            **_multi_scale,
            "model.semi_train_cfg.weight_by_images": False,
            "train_dataloader.sampler.source_ratio": [1, 1],
        },
        teacher_options=_multi_scale,
        published=56.9,
        table="5",
    ),
)
