"""DTG on COCO: its main table, five folds.

Command: python tools/sweep.py coco_dtg run --gpus-per-run 8
"""

_base_ = "./_base_/coco.py"

title = "COCO, dense teacher guidance"
methods = dict(
    soft_teacher=dict(
        label="SoftTeacher (mmdet)",
        config="soft_teacher/soft_teacher_frcnn_r50_180k_coco_p10.py",
        ratios=[10],
    ),
    dtg=dict(label="DTG", config="dtg/dtg_ffrcnn_r50_180k_coco_p{percent:02d}.py"),
)
