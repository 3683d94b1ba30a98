"""The methods' switches on your own data, 10 % of the labels, on one fold.

Command: DATA_ROOT=DATA NUM_CLASSES=N PRETRAINED=WEIGHTS
         python tools/sweep.py folder_ablations run --out work_dirs/folder
Data:    as for the sweep `folder`, whose rows are part of this one

With the same --out nothing that `folder` has trained is trained again. Some rows alone:
--rows certainty certainty+no_ca certainty+no_re certainty+no_dt
"""

_base_ = "./folder.py"

title = "Your own data, ablations"

# Smooth L1, to compare a Gaussian head with, and methods joined as in no paper.
_folder = "mnv2_short_folder_p10"
_smooth = f"supervised/supervised_frcnn_{_folder}_abl_smooth_l1.py"
methods = dict(
    supervised_smooth_l1=dict(
        label="supervised, smooth L1", config=_smooth, teacher=_smooth
    ),
    lerprc_class_balance=dict(
        label="LER and PRC, class balance",
        config=f"lerprc/lerprc_gfrcnn_{_folder}_abl_class_balance.py",
    ),
    lerprc_interval=dict(
        label="LER and PRC by interval certainty",
        config=f"lerprc/lerprc_ifrcnn_{_folder}.py",
    ),
    dtg_class_balance=dict(
        label="DTG, class balance",
        config=f"dtg/dtg_ffrcnn_{_folder}_abl_class_balance.py",
    ),
    dtg_interval=dict(
        label="DTG, boxes kept by p times interval certainty",
        config=f"dtg/dtg_ifrcnn_{_folder}.py",
    ),
)

_switches = dict(
    certainty=[
        "boxes",
        "ema",
        "no_ca",
        "no_dt",
        "no_dt_re",
        "no_re",
        "rank_pv",
        "union",
        "views",
    ],
    lerprc=[
        "ler_gain2",
        "ler_norm_only",
        "ler_sampled",
        "log_variance",
        "no_ler",
        "no_ler_prc",
        "no_prc",
        "prc_no_quality",
        "prc_separate",
        "tau06",
        "tau08",
        "tau09",
    ],
    dtg=[
        "cls",
        "cls_reg",
        "no_ignore",
        "own_boxes",
        "rpn_only",
        "sparse_rpn",
        "sparse_sparse",
    ],
    dtg_interval=["kept_by_p"],
)
_configs = dict(
    certainty=f"certainty/certainty_ifrcnn_{_folder}",
    lerprc=f"lerprc/lerprc_gfrcnn_{_folder}",
    dtg=f"dtg/dtg_ffrcnn_{_folder}",
    dtg_interval=f"dtg/dtg_ifrcnn_{_folder}",
)
overrides = {
    switch: dict(of=method, config=f"{_configs[method]}_abl_{switch}.py")
    for method, switches in _switches.items()
    for switch in switches
}
