"""All labels of COCO and its additional unlabelled images.

Command: python tools/sweep.py coco_full run --gpus-per-run 8
"""

title = "COCO, all labels"
baseline = "supervised"

_three_times = {"max_iters": 540_000, "train_cfg.val_interval": 10_000}
methods = dict(
    supervised=dict(
        config="supervised/supervised_faster-rcnn_r50_coco_full.py", published=37.9
    ),
    mean_teacher=dict(config="mean_teacher/mean_teacher_faster-rcnn_r50_coco_full.py"),
    certainty=dict(
        label="certainty-aware",
        config="certainty/certainty_faster-rcnn_r50_coco_full.py",
        published=41.0,
        table="1a",
    ),
    soft_teacher=dict(
        label="SoftTeacher of mmdet",
        config="soft_teacher/soft_teacher_faster-rcnn_r50_coco_full.py",
        published=44.5,
    ),
    lerprc=dict(
        label="LER and PRC",
        config="lerprc/lerprc_faster-rcnn_r50_coco_full.py",
        published=43.2,
    ),
    dtg=dict(
        label="DTG",
        config="dtg/dtg_faster-rcnn_r50_coco_full.py",
        published=45.7,
        table="1",
    ),
)
overrides = {
    "3x": dict(
        of="supervised",
        options={"max_iters": 270_000, "train_cfg.val_interval": 10_000},
        published=40.2,
    ),
    "certainty_3x": dict(
        label="3x",
        of="certainty",
        options=_three_times,
        teacher_options=_three_times,
        published=43.3,
        table="1a",
    ),
    # Iterations as Soft Teacher has them.
    "lerprc_720k": dict(
        of="lerprc",
        options={
            "max_iters": 720_000,
            "lr_steps": [2 / 3, 17 / 18],
            "train_cfg.val_interval": 10_000,
        },
        published=43.2,
    ),
    "dtg_360k": dict(
        of="dtg", options={"max_iters": 360_000}, published=44.7, table="2e"
    ),
}
