"""LER and PRC on COCO: its main table, five folds.

Command: python tools/sweep.py coco_lerprc run --gpus-per-run 2
"""

_base_ = "./_base_/coco.py"

title = "COCO, LER and PRC"
ratios = [1, 5, 10]
methods = dict(
    lerprc=dict(
        label="LER and PRC",
        config="lerprc/lerprc_gfrcnn_r50_180k_coco_p{percent:02d}.py",
    ),
)
