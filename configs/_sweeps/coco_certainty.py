"""Certainty-aware pseudo labels on COCO: its main table, five folds.

Command: python tools/sweep.py coco_certainty run --gpus-per-run 4
"""

_base_ = "./_base_/coco.py"

title = "COCO, certainty-aware pseudo labels"
methods = dict(
    certainty=dict(
        label="certainty-aware",
        config="certainty/certainty_ifrcnn_r50_180k_coco_p{percent:02d}.py",
    ),
)
