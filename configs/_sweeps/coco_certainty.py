"""Certainty-aware pseudo labels on COCO: its main table, five folds.

Command: python tools/sweep.py coco_certainty run --gpus-per-run 4
"""

title = "COCO, certainty-aware pseudo labels"
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
    certainty=dict(
        label="certainty-aware",
        config="certainty/certainty_ifrcnn_r50_180k_coco_p{percent:02d}.py",
    ),
)
