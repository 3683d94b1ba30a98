"""COCO 10 %, dense teacher guidance: every switch of its ablation tables, on one fold.

Command: python tools/sweep.py coco_dtg_ablations run --gpus-per-run 8
"""

title = "COCO 10 %, dense teacher guidance, ablations"
ratios = [10]
baseline = "dtg"
_config = "dtg/dtg_ffrcnn_r50_180k_coco_p10.py"
_switches = [
    "beta1",
    "beta5",
    "class_balance",
    "cls",
    "cls_reg",
    "ignore",
    "own_boxes",
    "rpn_only",
    "sparse_rpn",
    "sparse_sparse",
    "t05",
    "t5",
    "tau040",
    "tau050",
    "weak_plain",
]
methods = dict(dtg=dict(label="DTG", config=_config))
overrides = {
    switch: dict(of="dtg", config=_config.replace(".py", f"_abl_{switch}.py"))
    for switch in _switches
}
