"""COCO 10 %, dense teacher guidance: every switch of its ablation tables, on one fold.

Command: python tools/sweep.py coco_dtg_ablations run --gpus-per-run 8
One row: tools/dist_train.sh coco_dtg_ablations:tau040 8
"""

title = "COCO, dense teacher guidance, ablations"
ratios = [1, 5, 10]
baseline = "dtg"
methods = dict(
    dtg=dict(
        label="DTG",
        config="dtg/dtg_faster-rcnn_r50_coco.py",
        published={10: 36.3},
        table="2",
    )
)


def _row(options, published=None, table="", **more):
    """A row of 10 % of the labels."""
    return dict(
        of="dtg", ratios=[10], options=options, published=published, table=table, **more
    )


def _both(**settings):
    """Settings of both stages."""
    return {
        f"model.dense.{stage}.{key}": value
        for key, value in settings.items()
        for stage in ("rpn", "rcnn")
    }


_rcnn = "model.dense.rcnn"
overrides = dict(
    # The sparse-to-dense baseline: pseudo boxes and assignment.
    sparse_sparse=dict(
        of="dtg",
        options=_both(mode="sparse"),
        published={1: 21.1, 5: 31.1, 10: 34.5},
        table="2c, 2d",
    ),
    sparse_rpn=_row({"model.dense.rpn.mode": "sparse"}, 35.5, "2c"),
    rpn_only=_row({f"{_rcnn}.mode": "off"}, 28.5, "2a, 2b"),
    # Clusters teach classes alone; kept boxes too; each candidate its own teacher box.
    cls=_row(
        {f"{_rcnn}.box_target": "none", f"{_rcnn}.rank_weight": 0.0}, 32.9, "2b, 3c"
    ),
    cls_reg=_row({f"{_rcnn}.rank_weight": 0.0}, 35.1, "2b, 3c"),
    own_boxes=_row(
        {f"{_rcnn}.box_target": "own", f"{_rcnn}.rank_weight": 0.0}, 34.3, "3c"
    ),
    half=_row({"max_iters": 90_000}, 33.7, "2e", label="half the iterations"),
    # Temperature of rank matching, at weight 1.
    t05=_row(_both(temperature=0.5, rank_weight=1.0), 35.6, "3a"),
    t5=_row(_both(temperature=5.0, rank_weight=1.0), 35.6, "3a"),
    beta1=_row(_both(rank_weight=1.0), 35.8, "3b"),
    beta5=_row(_both(rank_weight=5.0), 36.1, "3b"),
    tau040=_row({f"{_rcnn}.tau": 0.40}, 35.8, "5"),
    tau050=_row({f"{_rcnn}.tau": 0.50}, 33.9, "5"),
    # Candidates that score 0.2 to 0.45 teach nothing, not background.
    ignore=_row({f"{_rcnn}.ignore_thr": 0.2}),
    # Thresholds and weights by class, as in the certainty-aware method.
    class_balance=_row(
        {
            "model.class_balance.type": "ClassBalance",
            "model.class_balance.use_loc": False,
        }
    ),
    # No colour operation on the weak view, as in section 3.1.
    weak_plain=_row({"views.weak.colour": None}),
)
