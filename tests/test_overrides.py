"""Overrides act, or are refused with the key that would work."""

from __future__ import annotations

import json
import os

import pytest
from mmengine.config import Config

from ssod_mm.cli.data_files import check_class_counts
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config

DTG = "dtg/dtg_faster-rcnn_r50_coco.py"


def resolved(name=DTG, **options):
    options = {key.replace("__", "."): value for key, value in options.items()}
    return resolve_config(load_config(name), cfg_options=options, check_files=())


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("method.dense.rcnn.tau", 0.3, "what works is model.dense.rcnn.tau"),
        ("detector.backbone.depth", 101, "works is model.detector.backbone.depth"),
        ("labelled.ann_file", "x", "train_dataloader.dataset.datasets.0.ann_file"),
        ("train_cfg.max_iters", 9, "set max_iters alone"),
        ("views.strong.color", None, "did you mean colour"),
        ("views.preset", "soft", "none of"),
        ("lr_steps", [0.5, 2], "shares of the length"),
        ("num_classes", 0, "whole number"),
        (
            "student.detector.backbone.depth",
            101,
            "what works is model.detector.backbone.depth",
        ),
        (
            "qqq",
            [1, 2],
            "parameters of this config are data_root, fold, lr_steps, max_iters",
        ),
        ("num_clases", 3, "nothing reads it"),
        ("path", "/x", "nothing reads it"),
        ("max_iter", 3, "did you mean max_iters"),
        ("modle.dense.rcnn.tau", 0.3, "what works is model.dense.rcnn.tau"),
        ("model.detector.train_cfg.rpn.pos_weigth", 1, "did you mean .*pos_weight"),
    ],
)
def test_an_override_that_would_do_nothing_is_refused(key, value, message):
    before = dict(os.environ)
    with pytest.raises(ValueError, match=message):
        resolved(**{key.replace(".", "__"): value})
    assert dict(os.environ) == before


def test_overrides_that_act_still_do():
    cfg = resolved(
        model__dense__rcnn__tau=0.3,
        max_iters=900,
        model__semi_train_cfg__empty_weight=0.5,
        allow_partial_load=True,
        default_hooks__early=dict(type="EarlyStoppingHook", monitor="x"),
        randomness__deterministic=True,
    )
    assert cfg.model.dense.rcnn.tau == 0.3
    assert cfg.train_cfg.max_iters == 900
    assert cfg.param_scheduler[1].milestones == [600, 800]
    assert cfg.model.semi_train_cfg.empty_weight == 0.5
    assert cfg.allow_partial_load is True
    assert cfg.default_hooks.early.monitor == "x"
    assert cfg.randomness.deterministic is True


def test_an_option_has_the_last_word_over_the_second_phase():
    name = "mean_teacher/mean_teacher_faster-rcnn_mnv2_folder.py"

    def phase(**options):
        given = dict(continue_from="x.pth", num_classes=6, max_iters=100, **options)
        cfg = resolved(name, **given)
        rate = cfg.optim_wrapper.optimizer.lr
        warm_up, drop = cfg.param_scheduler
        return rate, warm_up.end, drop.milestones, cfg.model.semi_train_cfg.burn_in

    assert phase() == (0.01, 20, [75], 0)
    given = phase(
        optim_wrapper__optimizer__lr=0.02,
        param_scheduler__0=dict(
            type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=30
        ),
        lr_steps=[0.5],
        model__semi_train_cfg__burn_in=40,
    )
    assert given == (0.02, 30, [50], 40)


def test_the_environment_stays_outside_but_for_what_is_documented(monkeypatch, capsys):
    monkeypatch.setenv("MAX_ITERS", "7")
    monkeypatch.setenv("DATA_ROOT", "/elsewhere")
    cfg = resolved()
    assert cfg.train_cfg.max_iters == 180_000
    assert cfg.val_evaluator.ann_file.startswith("/elsewhere/")
    assert "data_root=/elsewhere: from DATA_ROOT" in capsys.readouterr().out
    assert resolved(data_root="/here").data_root == "/here"
    assert os.environ["DATA_ROOT"] == "/elsewhere"
    assert os.environ["MAX_ITERS"] == "7"


def test_a_saved_config_can_be_moved_to_other_data(tmp_path):
    path = tmp_path / "config.py"
    resolved().dump(str(path))
    cfg = resolved(str(path), data_root="/new/")
    text = str(cfg.to_dict())
    assert "data/coco" not in text
    assert cfg.val_evaluator.ann_file == "/new/annotations/instances_val2017.json"
    assert cfg.val_dataloader.dataset.data_root == "/new"
    with pytest.raises(ValueError, match=r"max_iters: .*train_cfg\.max_iters"):
        resolved(str(path), max_iters=5)


def test_the_test_is_the_validation_but_for_what_is_said():
    options = {
        "test_dataloader.batch_size": 3,
        "test_dataloader.dataset.ann_file": "other.json",
        "val_dataloader.num_workers": 1,
    }
    cfg = resolve_config(load_config(DTG), cfg_options=options, check_files=())
    test, validation = cfg.test_dataloader, cfg.val_dataloader
    assert (test.batch_size, test.dataset.ann_file) == (3, "other.json")
    assert (test.num_workers, test.dataset.type) == (1, "CocoSemiDataset")
    assert (validation.batch_size, validation.num_workers) == (1, 1)
    assert validation.dataset.ann_file == "annotations/instances_val2017.json"
    assert cfg.test_evaluator == cfg.val_evaluator


def test_a_circle_of_base_files_is_named(tmp_path):
    (tmp_path / "a.py").write_text('_base_ = "b.py"\n')
    (tmp_path / "b.py").write_text('_base_ = "./a.py"\n')
    with pytest.raises(ValueError, match=r"circle: .*a\.py -> .*b\.py -> .*a\.py"):
        load_config(tmp_path / "a.py")


def test_check_finds_the_class_count_that_training_would_refuse(tmp_path):
    (tmp_path / "a.json").write_text(
        json.dumps(dict(images=[], categories=[dict(id=1, name="a")]))
    )
    source = dict(data_root=str(tmp_path), ann_file="a.json")
    heads = dict(rpn_head=dict(num_classes=1), roi_head=[dict(num_classes=1)])
    cfg = dict(train_dataloader=dict(dataset=dict(datasets=[source])), model=heads)
    check_class_counts(Config(cfg))
    heads["roi_head"][0]["num_classes"] = 2
    message = r"model\.roi_head\.0\.num_classes is 2, .*a\.json has 1 .*num_classes=1"
    with pytest.raises(ValueError, match=message):
        check_class_counts(Config(cfg))
    heads["roi_head"][0]["num_classes"] = 1
    source["metainfo"] = dict(classes=("a", "b"))
    with pytest.raises(ValueError, match="has 2 classes"):
        check_class_counts(Config(cfg))
