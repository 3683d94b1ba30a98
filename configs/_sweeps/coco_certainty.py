"""Certainty-aware pseudo labels on COCO: its main table, five folds.

Command: python tools/sweep.py coco_certainty run --gpus-per-run 4
"""

title = "COCO, certainty-aware pseudo labels"
ratios = [1, 2, 5, 10]
folds = [1, 2, 3, 4, 5]
baseline = "supervised"
methods = dict(
    supervised=dict(
        config="supervised/supervised_faster-rcnn_r50_coco.py",
        published={1: 9.05, 2: 12.70, 5: 18.47, 10: 23.86},
        table="2",
    ),
    mean_teacher=dict(config="mean_teacher/mean_teacher_faster-rcnn_r50_coco.py"),
    certainty=dict(
        label="certainty-aware",
        config="certainty/certainty_faster-rcnn_r50_coco.py",
        published={1: 18.21, 2: 22.62, 5: 27.78, 10: 31.67},
        table="2",
    ),
)
