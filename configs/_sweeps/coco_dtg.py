"""DTG on COCO: its main table, five folds.

Command: python tools/sweep.py coco_dtg run --gpus-per-run 8
"""

title = "COCO, dense teacher guidance"
ratios = [1, 2, 5, 10]
folds = [1, 2, 3, 4, 5]
baseline = "supervised"
methods = dict(
    supervised=dict(
        config="supervised/supervised_faster-rcnn_r50_coco.py",
        published={1: 12.20, 2: 16.53, 5: 21.17, 10: 26.90},
        table="1",
    ),
    mean_teacher=dict(config="mean_teacher/mean_teacher_faster-rcnn_r50_coco.py"),
    soft_teacher=dict(
        label="SoftTeacher (mmdet)",
        config="soft_teacher/soft_teacher_faster-rcnn_r50_coco.py",
        ratios=[10],
    ),
    dtg=dict(
        label="DTG",
        config="dtg/dtg_faster-rcnn_r50_coco.py",
        published={1: 21.27, 2: 26.84, 5: 31.90, 10: 35.92},
        table="1",
    ),
)
