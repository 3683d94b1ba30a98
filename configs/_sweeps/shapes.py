"""All methods on the embedded shapes, 5 % of the labels: minutes on two CPU cores.

Command: python tools/sweep.py shapes run
Data:    python tools/make_shapes.py --out data/shapes
         python tools/make_splits.py --ann data/shapes/annotations/instances_train.json
         --percent 5 --fold 1

Every row has a first phase on the labelled images and goes on from there for as many
iterations, with the same labels.
"""

title = "Embedded shapes"
ratios = [5]
folds = [1]
baseline = "supervised"

teacher_budget = dict(max_iters=1200)
budget = {"max_iters": 1000, "train_cfg.val_interval": 500}

_plain = "supervised/supervised_faster-rcnn_r18_shapes.py"
methods = dict(
    supervised=dict(config=_plain, teacher=_plain),
    mean_teacher=dict(config="mean_teacher/mean_teacher_faster-rcnn_r18_shapes.py"),
    certainty=dict(
        label="certainty-aware",
        config="certainty/certainty_faster-rcnn_r18_shapes.py",
    ),
    lerprc=dict(
        label="LER and PRC",
        config="lerprc/lerprc_faster-rcnn_r18_shapes.py",
    ),
    dtg=dict(
        label="DTG",
        config="dtg/dtg_faster-rcnn_r18_shapes.py",
    ),
)
