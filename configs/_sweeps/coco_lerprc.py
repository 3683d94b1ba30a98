"""LER and PRC on COCO: its main table, five folds.

Command: python tools/sweep.py coco_lerprc run --gpus-per-run 2
"""

title = "COCO, LER and PRC"
ratios = [1, 5, 10]
folds = [1, 2, 3, 4, 5]
baseline = "supervised"
methods = dict(
    supervised=dict(config="supervised/supervised_faster-rcnn_r50_coco.py"),
    mean_teacher=dict(config="mean_teacher/mean_teacher_faster-rcnn_r50_coco.py"),
    lerprc=dict(
        label="LER and PRC",
        config="lerprc/lerprc_faster-rcnn_r50_coco.py",
        published={1: 20.10, 5: 30.70, 10: 33.52},
    ),
)
