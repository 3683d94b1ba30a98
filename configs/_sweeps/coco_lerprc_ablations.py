"""COCO 10 %, LER and PRC: every switch of its ablation tables, on one fold.

Command: python tools/sweep.py coco_lerprc_ablations run --gpus-per-run 2
"""

title = "COCO 10 %, LER and PRC, ablations"
ratios = [10]
baseline = "lerprc"
_config = "lerprc/lerprc_gfrcnn_r50_180k_coco_p10.py"
_switches = [
    "burn_in",
    "gain2",
    "ler_norm_only",
    "ler_sampled",
    "log_variance",
    "no_ler",
    "no_ler_prc",
    "no_prc",
    "prc_joint",
    "prc_no_quality",
    "tau06",
    "tau07",
    "tau09",
]
methods = dict(lerprc=dict(label="LER and PRC", config=_config))
overrides = {
    switch: dict(of="lerprc", config=_config.replace(".py", f"_abl_{switch}.py"))
    for switch in _switches
}
