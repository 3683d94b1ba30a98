"""The rows that every main table of COCO begins with, five folds."""

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
)
