"""COCO 2 %, certainty-aware pseudo labels: all its ablation tables, on one fold.

Command: python tools/sweep.py coco_certainty_ablations run --gpus-per-run 4
"""

title = "COCO 2 %, certainty-aware pseudo labels, ablations"
ratios = [2]
baseline = "certainty"
_config = "certainty/certainty_ifrcnn_r50_90k_coco_p02.py"
_switches = [
    "aug_colour",
    "aug_colour_blur",
    "ensemble",
    "g1_003_g2_06",
    "g1_005_g2_04",
    "g1_005_g2_08",
    "g1_007_g2_06",
    "k04",
    "k08",
    "k20",
    "k40",
    "no_aug",
    "no_ca",
    "no_ca_dt",
    "no_ca_dt_re",
    "no_ca_re",
    "no_dt",
    "no_dt_re",
    "no_re",
    "positive_only",
    "rank_p",
    "rank_sqrt",
    "ratio11",
]
methods = dict(certainty=dict(label="certainty-aware", config=_config))
overrides = {
    switch: dict(of="certainty", config=_config.replace(".py", f"_abl_{switch}.py"))
    for switch in _switches
}
