"""All labels of COCO and its additional unlabelled images.

Command: python tools/sweep.py coco_full run --gpus-per-run 8
"""

title = "COCO, all labels"
baseline = "supervised"
methods = dict(
    supervised=dict(config="supervised/supervised_frcnn_r50_90k_coco_full.py"),
    supervised_3x=dict(
        label="supervised, 3x",
        config="supervised/supervised_frcnn_r50_270k_coco_full.py",
    ),
    mean_teacher=dict(config="mean_teacher/mean_teacher_frcnn_r50_720k_coco_full.py"),
    certainty=dict(
        label="certainty-aware",
        config="certainty/certainty_ifrcnn_r50_180k_coco_full.py",
    ),
    certainty_3x=dict(
        label="certainty-aware, 3x",
        config="certainty/certainty_ifrcnn_r50_540k_coco_full.py",
    ),
    soft_teacher=dict(
        label="SoftTeacher of mmdet",
        config="soft_teacher/soft_teacher_frcnn_r50_720k_coco_full.py",
    ),
    lerprc=dict(
        label="LER and PRC", config="lerprc/lerprc_gfrcnn_r50_180k_coco_full.py"
    ),
    lerprc_720k=dict(
        label="LER and PRC, 720k", config="lerprc/lerprc_gfrcnn_r50_720k_coco_full.py"
    ),
    dtg=dict(label="DTG", config="dtg/dtg_ffrcnn_r50_720k_coco_full.py"),
    dtg_360k=dict(label="DTG, 360k", config="dtg/dtg_ffrcnn_r50_360k_coco_full.py"),
)
