"""DTG on COCO: its main table, five folds.

Command: python tools/sweep.py coco_dtg run --gpus-per-run 8
"""

title = "COCO, dense teacher guidance"
ratios = [1, 2, 5, 10]
folds = [1, 2, 3, 4, 5]
baseline = "supervised"
methods = dict(
    supervised=dict(
        config="supervised/supervised_frcnn_r50_180k_coco_p{percent:02d}.py"
    ),
    mean_teacher=dict(
        config="mean_teacher/mean_teacher_frcnn_r50_180k_coco_p{percent:02d}.py"
    ),
    soft_teacher=dict(
        label="SoftTeacher (mmdet)",
        config="soft_teacher/soft_teacher_frcnn_r50_180k_coco_p10.py",
        ratios=[10],
    ),
    dtg=dict(label="DTG", config="dtg/dtg_ffrcnn_r50_180k_coco_p{percent:02d}.py"),
)
