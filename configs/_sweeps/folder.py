"""All methods on your own data, 10 % of the labels: a few hours on two CPU cores.

Command: DATA_ROOT=DATA PRETRAINED=WEIGHTS
         python tools/sweep.py folder run
Data:    python tools/make_splits.py --ann DATA/annotations/instances_train.json
         --percent 10 --fold 1

Every row has a first phase on the labelled images and goes on from there for as many
iterations, with the same labels. A first phase must end before it teaches: where its
AP still rises, let it have more.
"""

title = "Your own data"
ratios = [10]
folds = [1]
baseline = "supervised"
amp = "bf16"

teacher_budget = dict(max_iters=1600)
# On circuit boards a teacher had 44.7 AP after 500 iterations and 46.7 after 1,000.
# Validation of two models costs as much as 60: twice a run will do.
budget = {"max_iters": 1000, "train_cfg.val_interval": 500}

_plain, _interval, _gaussian, _focal = (
    f"supervised/supervised_faster-rcnn{head}_mnv2_folder.py"
    for head in ("", "-interval", "-gaussian", "-focal")
)
methods = dict(
    supervised=dict(config=_plain, teacher=_plain),
    supervised_interval=dict(
        label="supervised, interval head", config=_interval, teacher=_interval
    ),
    supervised_gaussian=dict(
        label="supervised, Gaussian head", config=_gaussian, teacher=_gaussian
    ),
    supervised_focal=dict(
        label="supervised, focal loss", config=_focal, teacher=_focal
    ),
    mean_teacher=dict(config="mean_teacher/mean_teacher_faster-rcnn_mnv2_folder.py"),
    soft_teacher=dict(
        label="SoftTeacher of mmdet",
        config="soft_teacher/soft_teacher_faster-rcnn_mnv2_folder.py",
    ),
    certainty=dict(
        label="certainty-aware",
        config="certainty/certainty_faster-rcnn_mnv2_folder.py",
    ),
    lerprc=dict(
        label="LER and PRC",
        config="lerprc/lerprc_faster-rcnn_mnv2_folder.py",
    ),
    dtg=dict(
        label="DTG",
        config="dtg/dtg_faster-rcnn_mnv2_folder.py",
    ),
)
