"""The methods' switches on the embedded shapes, 5 % of the labels, on one fold.

Command: python tools/sweep.py shapes_ablations run --out work_dirs/shapes
Data:    as for the sweep `shapes`, whose rows are part of this one
"""

_base_ = "./shapes.py"

title = "Embedded shapes, ablations"

methods = dict(
    certainty_plain=dict(
        label="certainty-aware without certainty",
        config="certainty/certainty_faster-rcnn-plain_r18_shapes.py",
    )
)
overrides = dict(
    # The teacher rests after the first phase, as in the paper.
    frozen=dict(
        of="certainty",
        options={
            "default_hooks.teacher.teacher": "frozen",
            "default_hooks.checkpoint.save_best": "student/coco/bbox_mAP",
            "val_cfg.models": ["student"],
            "model.semi_test_cfg.predict_on": "student",
        },
    ),
    no_ler=dict(of="lerprc", options={"model.ler": None}),
    no_prc=dict(of="lerprc", options={"model.prc": None}),
    no_ler_prc=dict(of="lerprc", options={"model.ler": None, "model.prc": None}),
    cls=dict(
        of="dtg",
        options={
            "model.dense.rcnn.box_target": "none",
            "model.dense.rcnn.rank_weight": 0.0,
        },
    ),
    cls_reg=dict(of="dtg", options={"model.dense.rcnn.rank_weight": 0.0}),
    rpn_only=dict(of="dtg", options={"model.dense.rcnn.mode": "off"}),
    sparse_rpn=dict(of="dtg", options={"model.dense.rpn.mode": "sparse"}),
    # What label assignment needs with few labels: as the plain mean teacher here. From
    # tau to `score_thr` boxes are ignored.
    sparse_sparse=dict(
        of="dtg",
        options={
            "model.dense.rpn.mode": "sparse",
            "model.dense.rcnn.mode": "sparse",
            "model.dense.rcnn.tau": 0.15,
            "model.dense.rcnn.ignore_thr": None,
            "model.dense.rcnn.max_proposals": None,
            "model.semi_train_cfg.ignore_thr": 0.15,
            "model.semi_train_cfg.unsup_loss_weights.loss_cls": 0.0,
        },
    ),
)
