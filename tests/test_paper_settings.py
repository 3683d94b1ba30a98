"""The papers' settings hold in the resolved configs.

The table is that of the three papers (certainty-aware: arXiv 2106.00168; LER/PRC: ICIC
2025; DTG: NeurIPS 2022). Batches are those of all the GPUs that the paper uses.
"""

from __future__ import annotations

from functools import cache

import pytest

from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config

C, L, D = (
    f"{slug}/{slug}_{head}rcnn_r50_"
    for slug, head in (("certainty", "if"), ("lerprc", "gf"), ("dtg", "ff"))
)


@cache
def config(name):
    return resolve_config(load_config(f"{name}.py"), check_files=())


@pytest.mark.parametrize(
    ("name", "gpus", "total", "ratio"),
    [
        (f"{C}180k_coco_p10", 4, 8, [1]),
        (f"{C}180k_coco_p10_abl_ratio11", 4, 8, [1, 1]),
        (f"{C}90k_voc", 4, 8, [1]),
        (f"{L}180k_coco_p10", 2, 20, [1, 4]),
        (f"{L}180k_coco_full", 2, 20, [1, 4]),
        (f"{L}72k_voc", 2, 16, [1, 1]),
        (f"{D}180k_coco_p10", 8, 40, [1, 4]),
        (f"{D}720k_coco_full", 8, 64, [1, 1]),
        (f"{D}90k_voc", 8, 40, [1, 4]),
    ],
)
def test_batch_and_ratio(name, gpus, total, ratio):
    cfg = config(name)
    assert cfg.train_dataloader.batch_size * gpus == total
    assert cfg.train_dataloader.sampler.source_ratio == ratio
    assert cfg.auto_scale_lr.base_batch_size == total


@pytest.mark.parametrize(
    ("name", "alpha", "score_thr", "burn_in", "ramp"),
    [
        (f"{C}180k_coco_p10", 1.0, 0.7, 0, 0),
        (f"{C}90k_voc", 1.0, 0.7, 0, 0),
        (f"{L}180k_coco_p10", 4.0, 0.8, 0, 0),
        (f"{L}180k_coco_full", 4.0, 0.8, 0, 0),
        (f"{L}72k_voc", 2.0, 0.8, 0, 0),
        (f"{L}180k_coco_p10_abl_burn_in", 4.0, 0.8, 2000, 2000),
        (f"{D}180k_coco_p10", 4.0, 0.9, 4000, 0),
        (f"{D}720k_coco_full", 2.0, 0.9, 4000, 0),
        (f"{D}90k_voc", 4.0, 0.9, 4000, 0),
    ],
)
def test_weight_thresholds_and_burn_in(name, alpha, score_thr, burn_in, ramp):
    cfg = config(name).model.semi_train_cfg
    found = (cfg.unsup_weight, cfg.score_thr, cfg.burn_in, cfg.ramp_iters)
    assert found == (alpha, score_thr, burn_in, ramp)


@pytest.mark.parametrize(
    ("name", "iterations", "steps"),
    [
        (f"{C}180k_coco_p10", 180_000, [120_000, 160_000]),
        (f"{C}180k_coco_full", 180_000, [120_000, 160_000]),
        (f"{C}540k_coco_full", 540_000, [360_000, 480_000]),
        (f"{C}90k_voc", 90_000, [60_000, 80_000]),
        ("supervised/supervised_ifrcnn_r50_6k_coco_p01", 6_000, None),
        ("supervised/supervised_ifrcnn_r50_12k_coco_p02", 12_000, None),
        ("supervised/supervised_ifrcnn_r50_30k_coco_p05", 30_000, None),
        ("supervised/supervised_ifrcnn_r50_60k_coco_p10", 60_000, None),
        ("supervised/supervised_ifrcnn_r50_10k_voc", 10_000, None),
        ("supervised/supervised_ifrcnn_r50_10k_voc_abl_multiscale", 10_000, None),
        (f"{L}180k_coco_p10", 180_000, None),
        (f"{L}180k_coco_full", 180_000, None),
        (f"{L}720k_coco_full", 720_000, None),
        (f"{L}72k_voc", 72_000, None),
        (f"{D}180k_coco_p10", 180_000, [120_000, 160_000]),
        (f"{D}720k_coco_full", 720_000, [480_000, 680_000]),
        (f"{D}90k_voc", 90_000, [60_000, 80_000]),
    ],
)
def test_schedule(name, iterations, steps):
    cfg = config(name)
    assert cfg.train_cfg.max_iters == iterations
    warm_up, decay = cfg.param_scheduler
    assert warm_up.type == "LinearLR"
    assert decay.gamma == 0.1
    if steps is not None:
        assert decay.milestones == steps


@pytest.mark.parametrize(
    "name", [f"{C}180k_coco_p10", f"{L}180k_coco_p10", f"{D}90k_voc"]
)
def test_optimiser_and_momentum_of_the_teacher(name):
    cfg = config(name)
    optimiser = cfg.optim_wrapper.optimizer
    assert optimiser.type == "SGD"
    assert (optimiser.lr, optimiser.momentum, optimiser.weight_decay) == (
        0.01,
        0.9,
        1e-4,
    )
    (hook,) = (h for h in cfg.custom_hooks if h.type == "MeanTeacherEMAHook")
    frozen = name.startswith("certainty")
    assert hook.get("teacher", "ema") == ("frozen" if frozen else "ema")
    if not frozen:
        assert hook.momentum == 0.999


def test_certainty():
    model = config(f"{C}180k_coco_p10").model
    balance = model.class_balance
    assert (balance.g1, balance.g2) == (0.05, 0.6)
    assert tuple(balance.clip) == (0.4, 0.9)
    head = model.detector.roi_head.bbox_head
    assert head.type == "IntervalBBoxHead"
    assert head.num_intervals == 30
    assert model.detector.test_cfg.rcnn.score_thr == 0.05


def test_lerprc():
    model = config(f"{L}180k_coco_p10").model
    head = model.detector.roi_head.bbox_head
    assert head.type == "GaussianBBoxHead"
    assert head.quality_on == "variance"
    assert "kl_weight" not in head
    assert head.loss_bbox == dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0)
    assert (model.ler.reg_norm, model.prc.cls_norm) == ("foreground", "separate")
    assert "gain" not in model.ler
    assert "gain" not in model.prc


def test_dtg():
    dense = config(f"{D}180k_coco_p10").model.dense
    assert (dense.rpn.tau, dense.rcnn.tau) == (0.9, 0.45)
    for stage in (dense.rpn, dense.rcnn):
        assert (stage.rank_weight, stage.temperature) == (3.0, 1.0)


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        (f"{C}180k_coco_p10", (1333, 800), (1333, 800)),
        (f"{C}90k_voc", (1333, 600), (1333, 600)),
        (f"{C}90k_voc_abl_multiscale", [(1333, 640), (1333, 800)], (1333, 800)),
        (
            f"{C}90k_voc_coco20_abl_multiscale",
            [(1333, 640), (1333, 800)],
            (1333, 800),
        ),
        (f"{L}180k_coco_p10", [(1333, 400), (1333, 1200)], (1333, 800)),
        (f"{D}180k_coco_p10", [(1333, 400), (1333, 1200)], (1333, 800)),
    ],
)
def test_image_sizes(name, train, test):
    cfg = config(name)
    for source in cfg.train_dataloader.dataset.datasets:
        views = source.pipeline[-1]
        for steps in filter(None, map(views.get, ("pipeline", "weak", "strong"))):
            assert steps[0].scale == train
    assert cfg.val_dataloader.dataset.pipeline[1].scale == test
    assert cfg.test_dataloader.dataset.pipeline[1].scale == test


def test_the_multi_scale_teacher_is_trained_multi_scale():
    for dataset in ("voc", "voc_coco20"):
        teacher = config(f"{C}90k_{dataset}_abl_multiscale").teacher_config
        cfg = config(teacher.removesuffix(".py"))
        (source,) = cfg.train_dataloader.dataset.datasets
        assert source.pipeline[2].scale == [(1333, 640), (1333, 800)]
        assert cfg.val_dataloader.dataset.pipeline[1].scale == (1333, 800)
