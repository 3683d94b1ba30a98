"""LER and PRC on COCO: its main table, five folds.

Command: python tools/sweep.py coco_lerprc run --gpus-per-run 2
"""

title = "COCO, LER and PRC"
ratios = [1, 5, 10]
folds = [1, 2, 3, 4, 5]
baseline = "supervised"
methods = dict(
    supervised=dict(
        config="supervised/supervised_frcnn_r50_180k_coco_p{percent:02d}.py"
    ),
    mean_teacher=dict(
        config="mean_teacher/mean_teacher_frcnn_r50_180k_coco_p{percent:02d}.py"
    ),
    lerprc=dict(
        label="LER and PRC",
        config="lerprc/lerprc_gfrcnn_r50_180k_coco_p{percent:02d}.py",
    ),
)
