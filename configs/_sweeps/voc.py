"""VOC07 labelled; VOC12, and with COCO-20, unlabelled: the tables of the three papers.

Command: python tools/sweep.py voc run --gpus-per-run 4
"""

title = "VOC"
baseline = "supervised"
methods = dict(
    supervised=dict(config="supervised/supervised_frcnn_r50_72k_voc.py"),
    soft_teacher=dict(
        label="SoftTeacher of mmdet",
        config="soft_teacher/soft_teacher_frcnn_r50_72k_voc.py",
    ),
    mean_teacher=dict(config="mean_teacher/mean_teacher_frcnn_r50_72k_voc.py"),
    mean_teacher_coco20=dict(
        label="mean teacher, COCO-20",
        config="mean_teacher/mean_teacher_frcnn_r50_72k_voc_coco20.py",
    ),
    certainty=dict(
        label="certainty-aware", config="certainty/certainty_ifrcnn_r50_90k_voc.py"
    ),
    certainty_multiscale=dict(
        label="certainty-aware, multi-scale",
        config="certainty/certainty_ifrcnn_r50_90k_voc_abl_multiscale.py",
    ),
    certainty_coco20=dict(
        label="certainty-aware, COCO-20",
        config="certainty/certainty_ifrcnn_r50_90k_voc_coco20.py",
    ),
    certainty_coco20_multiscale=dict(
        label="certainty-aware, COCO-20, multi-scale",
        config="certainty/certainty_ifrcnn_r50_90k_voc_coco20_abl_multiscale.py",
    ),
    certainty_coco20_multiscale_ratio11=dict(
        label="certainty-aware, COCO-20, multi-scale, 1:1",
        config="certainty/certainty_ifrcnn_r50_90k_voc_coco20_abl_multiscale_ratio11.py",
    ),
    lerprc=dict(label="LER and PRC", config="lerprc/lerprc_gfrcnn_r50_72k_voc.py"),
    dtg=dict(label="DTG", config="dtg/dtg_ffrcnn_r50_90k_voc.py"),
    dtg_coco20=dict(
        label="DTG, COCO-20", config="dtg/dtg_ffrcnn_r50_90k_voc_coco20.py"
    ),
)
