"""``--check`` refuses what a training would refuse, and writes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from ssod_mm.apis.training import check
from ssod_mm.cli.phases import Phase
from ssod_mm.cli.run_phases import command_of
from tests.data.coco_files import truncate
from tests.helpers import (
    make_tiny_coco,
    tiny_mean_teacher_cfg,
    tiny_supervised_cfg,
    write_config,
)
from tests.outcomes import outcome


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp("data"), 4)


@pytest.fixture
def config(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cfg = tiny_mean_teacher_cfg(data)
    cfg["custom_hooks"].append(dict(type="ClassCountHook"))
    cfg["load_from"] = None
    return write_config(cfg, tmp_path / "c.py")


def first(dataset):
    """The labelled images of a config's training set."""
    return f"train_dataloader.dataset.datasets.0.{dataset}"


def edit_json(change):
    """Change the training json of a copy of the data; returns the options for it."""

    def make(data, folder):
        path = folder / "edited.json"
        source = data / "annotations" / "instances_train.json"
        document = json.loads(source.read_text())
        change(document)
        path.write_text(json.dumps(document))
        return {first("ann_file"): str(path)}

    return make


def twice(document):
    document["images"][1]["file_name"] = document["images"][0]["file_name"]


def other_size(document):
    for image in document["images"]:
        image["width"] += 8


def negative(document):
    document["annotations"][0]["bbox"][2] = -4


def other_weights(data, folder):
    torch.save({"state_dict": {"a.weight": torch.zeros(3)}}, folder / "other.pth")
    return {"load_from": "other.pth"}


def damaged_weights(data, folder):
    torch.save({"state_dict": {"a.weight": torch.zeros(3)}}, folder / "cut.pth")
    truncate(folder / "cut.pth")
    return {"load_from": "cut.pth"}


HEAD = "model.detector.roi_head.bbox_head"
# What is wrong, options or how they are made, what is said. The first part is seen
# without building anything.
QUICK = [
    ("split", {"percent": 0}, r"percent \(--percent\) must be above 0"),
    ("rate", {"optim_wrapper.optimizer.lr": -1}, "optimizer.lr must be a .*number"),
    ("length", {"train_cfg.max_iters": 0}, "max_iters must be"),
    ("batch", {"train_dataloader.batch_size": 0}, "batch_size must be"),
    ("json", {first("ann_file"): "none.json"}, r"there is no file .*none\.json"),
    ("folder", {first("data_prefix.img"): "no/"}, "there is no folder .*data_prefix"),
    ("classes", {f"{HEAD}.num_classes": 5}, "num_classes is 5, but .* has 3 classes"),
    ("start", {"load_from": "none.pth"}, r"there is no checkpoint none\.pth \(load_"),
    (
        "weights",
        {
            "model.detector.backbone.init_cfg": dict(
                type="Pretrained", checkpoint="none.pth"
            )
        },
        r"no file of weights none\.pth \(model\.detector\.backbone",
    ),
    ("unknown key", {"maximum": 3}, "--cfg-options maximum: nothing reads it"),
]
DEEP = [
    ("threshold", {"model.semi_train_cfg.score_thr": 1.5}, "score_thr must be"),
    ("setting", {"model.semi_train_cfg.burn_im": 3}, "burn_im"),
    ("momentum", {"custom_hooks.1.momentum": 2.0}, "momentum must lie in"),
    ("type", {"model.detector.backbone.type": "ResNetX"}, "ResNetX is not in the"),
    ("two images, one file", edit_json(twice), "1 file names occur more than once"),
    ("box", edit_json(negative), "sizes that are not negative"),
    ("size", edit_json(other_size), "but its annotation file says"),
    ("other network", other_weights, "does not fit the config's model"),
    ("damaged", damaged_weights, "is damaged or no checkpoint"),
]


def said(config, options, **more):
    return outcome(lambda: check(config, cfg_options=options, **more))


def made(options, data, folder):
    return options(data, folder) if callable(options) else dict(options)


@pytest.mark.parametrize(
    ("options", "message"), [pytest.param(*row[1:], id=row[0]) for row in QUICK]
)
def test_seen_without_building_anything(config, data, tmp_path, options, message):
    percent = options.get("percent")
    given = {key: value for key, value in options.items() if key != "percent"}
    with pytest.raises(Exception, match=message) as caught:
        check(config, cfg_options=given, percent=percent, only_files=True)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"), [pytest.param(*row[1:], id=row[0]) for row in DEEP]
)
def test_seen_when_all_is_built(config, data, tmp_path, options, message):
    given = made(options, data, tmp_path)
    assert "in order" in check(config, cfg_options=given, only_files=True)
    with pytest.raises(Exception, match=message):
        check(config, cfg_options=given)
    assert said(config, given).startswith("refused: ")


def test_what_is_in_order_is_counted_and_nothing_written(config, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    words = check(config, work_dir=tmp_path / "out")
    assert words == "all is in order: 8 images to train, 3 classes"
    assert sorted(tmp_path.rglob("*")) == before


def test_the_images_of_the_validation_are_checked_too(data, tmp_path):
    cfg = tiny_supervised_cfg(data)
    for part in ("dataloader", "evaluator"):
        cfg[f"val_{part}"] = cfg[f"test_{part}"]
    cfg["val_cfg"] = dict(type="ValLoop")
    good = check(write_config(cfg, tmp_path / "good.py"))
    assert good == "all is in order: 4 images to train, 2 to validate, 3 classes"
    path = tmp_path / "val.json"
    text = (data / "annotations" / "instances_val.json").read_text()
    path.write_text(text.replace("000001.jpg", "000009.jpg"))
    options = {"val_dataloader.dataset.ann_file": str(path)}
    with pytest.raises(FileNotFoundError, match=r"000009\.jpg"):
        check(write_config(cfg, tmp_path / "bad.py"), cfg_options=options)


def test_a_student_is_checked_before_its_teacher_is_trained(config):
    missing = {"load_from": "teacher.pth"}
    assert "no checkpoint teacher.pth" in said(config, missing)
    assert "in order" in check(config, cfg_options=missing, before_first_phase=True)


def test_a_check_of_phases(tmp_path):
    phase = Phase("student", ["c.py", "--seed", "1"], tmp_path, 5)
    words = command_of(phase, 8, check=True, follows=True)
    assert Path(words[1]).name == "train.py"  # one process, whatever trains
    assert words[2:] == ["c.py", "--check", "--before-first-phase", "--seed", "1"]
    assert "--before-first-phase" not in command_of(phase, 1, check=True)
    assert "--check" not in command_of(phase, 1, check=False)
    words = command_of(phase, 1, check=True, only_files=True)
    assert words[2:] == ["c.py", "--check-files", "--seed", "1"]
