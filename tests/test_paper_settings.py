"""The papers' settings hold in the resolved configs.

The table is that of the three papers (certainty-aware: arXiv 2106.00168; LER/PRC: ICIC
2025; DTG: NeurIPS 2022) and of MixPL's DINO (arXiv 2312.07006). Batches are those of
all the GPUs that the paper uses.
"""

from __future__ import annotations

from functools import cache

import pytest

from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.sweep.targets import load_target

C, L, D = (f"{slug}/{slug}_faster-rcnn_r50_" for slug in ("certainty", "lerprc", "dtg"))
M = "mean_teacher/mean_teacher_"
FIRST_PHASE = "supervised/supervised_faster-rcnn-interval_r50_"


def sources(cfg):
    """The data sets of a config, those of a union one by one."""
    for dataset in cfg.train_dataloader.dataset.datasets:
        yield from dataset.get("datasets", [dataset])


@cache
def config(target, percent=None):
    """A config, or a row of a sweep."""
    target = target if ":" in target else f"{target}.py"
    cfg = load_target(target, percent)
    return resolve_config(cfg, percent=percent, check_files=())


@pytest.mark.parametrize(
    ("name", "gpus", "total", "ratio"),
    [
        (f"{C}coco", 4, 8, [1]),
        ("coco_certainty_ablations:ratio11", 4, 8, [1, 1]),
        (f"{C}voc", 4, 8, [1]),
        (f"{L}coco", 2, 20, [1, 4]),
        (f"{L}coco_full", 2, 20, [1, 4]),
        (f"{L}voc", 2, 16, [1, 1]),
        (f"{D}coco", 8, 40, [1, 4]),
        (f"{D}coco_full", 8, 64, [1, 1]),
        (f"{D}voc", 8, 40, [1, 4]),
        (f"{M}dino_r50_coco", 8, 40, [1, 4]),
        (f"{M}deformable-detr_r50_coco", 8, 40, [1, 4]),
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
        (f"{C}coco", 1.0, 0.7, 0, 0),
        (f"{C}voc", 1.0, 0.7, 0, 0),
        (f"{L}coco", 4.0, 0.8, 0, 0),
        (f"{L}coco_full", 4.0, 0.8, 0, 0),
        (f"{L}voc", 2.0, 0.8, 0, 0),
        ("coco_lerprc_ablations:burn_in", 4.0, 0.8, 2000, 2000),
        (f"{D}coco", 4.0, 0.9, 4000, 0),
        (f"{D}coco_full", 2.0, 0.9, 4000, 0),
        (f"{D}voc", 4.0, 0.9, 4000, 0),
        (f"{M}dino_r50_coco", 2.0, 0.4, 0, 0),
        (f"{M}deformable-detr_r50_coco", 2.0, 0.4, 0, 0),
    ],
)
def test_weight_thresholds_and_burn_in(name, alpha, score_thr, burn_in, ramp):
    cfg = config(name).model.semi_train_cfg
    found = (cfg.unsup_weight, cfg.score_thr, cfg.burn_in, cfg.ramp_iters)
    assert found == (alpha, score_thr, burn_in, ramp)


@pytest.mark.parametrize(
    ("name", "iterations", "steps"),
    [
        (f"{C}coco", 180_000, [120_000, 160_000]),
        (f"{C}coco_full", 180_000, [120_000, 160_000]),
        ("coco_full:certainty_3x", 540_000, [360_000, 480_000]),
        (f"{C}voc", 90_000, [60_000, 80_000]),
        (f"{L}coco", 180_000, None),
        (f"{L}coco_full", 180_000, None),
        ("coco_full:lerprc_720k", 720_000, None),
        (f"{L}voc", 72_000, None),
        (f"{D}coco", 180_000, [120_000, 160_000]),
        (f"{D}coco_full", 720_000, [480_000, 680_000]),
        (f"{D}voc", 90_000, [60_000, 80_000]),
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
    ("percent", "iterations"), [(1, 6_000), (2, 12_000), (5, 30_000), (10, 60_000)]
)
def test_first_phase_of_the_certainty_aware_method(percent, iterations):
    cfg = config(f"{FIRST_PHASE}coco", percent)
    assert cfg.train_cfg.max_iters == iterations
    assert cfg.param_scheduler[1].milestones == [
        iterations * 2 // 3,
        iterations * 8 // 9,
    ]
    assert config(f"{FIRST_PHASE}voc").train_cfg.max_iters == 10_000


@pytest.mark.parametrize("name", [f"{C}coco", f"{L}coco", f"{D}voc"])
def test_optimiser_and_momentum_of_the_teacher(name):
    cfg = config(name)
    optimiser = cfg.optim_wrapper.optimizer
    assert optimiser.type == "SGD"
    assert (optimiser.lr, optimiser.momentum, optimiser.weight_decay) == (
        0.01,
        0.9,
        1e-4,
    )
    hook = cfg.default_hooks.teacher
    assert hook.type == "MeanTeacherEMAHook"
    frozen = name.startswith("certainty")
    assert hook.get("teacher", "ema") == ("frozen" if frozen else "ema")
    if not frozen:
        assert hook.momentum == 0.999


def test_certainty():
    model = config(f"{C}coco").model
    balance = model.class_balance
    assert (balance.g1, balance.g2) == (0.05, 0.6)
    assert tuple(balance.clip) == (0.4, 0.9)
    head = model.detector.roi_head.bbox_head
    assert head.type == "IntervalBBoxHead"
    assert head.num_intervals == 30
    assert model.detector.test_cfg.rcnn.score_thr == 0.05


def test_lerprc():
    model = config(f"{L}coco").model
    head = model.detector.roi_head.bbox_head
    assert head.type == "GaussianBBoxHead"
    assert head.quality_on == "variance"
    assert "kl_weight" not in head
    assert head.loss_bbox == dict(type="SmoothL1Loss", beta=1.0, loss_weight=1.0)
    assert (model.ler.reg_norm, model.prc.cls_norm) == ("foreground", "separate")
    assert "gain" not in model.ler
    assert "gain" not in model.prc


def test_dtg():
    dense = config(f"{D}coco").model.dense
    assert (dense.rpn.tau, dense.rcnn.tau) == (0.9, 0.45)
    for stage in (dense.rpn, dense.rcnn):
        assert (stage.rank_weight, stage.temperature) == (3.0, 1.0)


@pytest.mark.parametrize("percent", [1, 5, 10])
@pytest.mark.parametrize(("name", "rate"), [("dino", 1e-4), ("deformable-detr", 2e-4)])
def test_mixpl(name, rate, percent):
    cfg = config(f"{M}{name}_r50_coco", percent)
    assert cfg.train_cfg.max_iters == 90_000
    assert not cfg.get("param_scheduler")  # one rate, without a warm-up
    wrapper = cfg.optim_wrapper
    assert (wrapper.optimizer.type, wrapper.optimizer.lr) == ("AdamW", rate)
    assert wrapper.clip_grad.max_norm == 0.1
    assert wrapper.paramwise_cfg.custom_keys.backbone.lr_mult == 0.1
    assert cfg.default_hooks.teacher.momentum == 0.9998
    assert cfg.model.semi_train_cfg.min_box_wh == (0.01, 0.01)
    unlabelled = cfg.train_dataloader.dataset.datasets[1]
    erase = unlabelled.pipeline[-1].strong[1]
    assert (erase.type, erase.num, erase.ratio) == ("ErasePatches", (1, 19), (0, 0.1))


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        (f"{C}coco", (1333, 800), (1333, 800)),
        (f"{C}voc", (1333, 600), (1333, 600)),
        ("voc:multi_scale", [(1333, 640), (1333, 800)], (1333, 800)),
        (
            "voc:coco20_multi_scale",
            [(1333, 640), (1333, 800)],
            (1333, 800),
        ),
        (f"{L}coco", [(1333, 400), (1333, 1200)], (1333, 800)),
        (f"{D}coco", [(1333, 400), (1333, 1200)], (1333, 800)),
        (f"{M}dino_r50_coco", [(1333, 400), (1333, 1200)], (1333, 800)),
    ],
)
def test_image_sizes(name, train, test):
    cfg = config(name)
    for source in sources(cfg):
        views = source.pipeline[-1]
        for steps in filter(None, map(views.get, ("pipeline", "weak", "strong"))):
            assert steps[0].scale == train
    assert cfg.val_dataloader.dataset.pipeline[1].scale == test
    assert cfg.test_dataloader.dataset.pipeline[1].scale == test


@pytest.mark.parametrize("row", ["multi_scale", "coco20_multi_scale"])
def test_the_multi_scale_teacher_is_trained_multi_scale(row):
    student = load_target(f"voc:{row}")
    cfg = resolve_config(
        load_config(student.teacher_config),
        cfg_options=student.teacher_options.to_dict(),
        check_files=(),
    )
    (source,) = cfg.train_dataloader.dataset.datasets
    assert source.pipeline[2].scale == [(1333, 640), (1333, 800)]
    assert cfg.val_dataloader.dataset.pipeline[1].scale == (1333, 800)
