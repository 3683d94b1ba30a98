"""Folders of every format stand wherever a COCO folder could."""

from __future__ import annotations

import importlib
import json

import pytest
from mmengine.config import Config

from ssod_mm.apis.folder_training import plan_folder, train_folder
from ssod_mm.cli.own_data import read_own_data
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.cli.tool_files import tools_folder
from ssod_mm.data.datasets import CocoSemiDataset
from ssod_mm.formats.cache import CACHE
from ssod_mm.formats.convert import coco_folder
from tests.formats.folders import BOXES, write_text, write_voc, write_yolo
from tests.helpers import make_tiny_coco, tiny_supervised_cfg


@pytest.fixture
def yolo(tmp_path):
    return write_yolo(tmp_path / "fruit")


def test_own_data(yolo):
    data = read_own_data(yolo)
    assert data.root == coco_folder(yolo)
    assert data.num_classes == 2
    assert data.root.name == "fruit"  # which names the output folder
    assert data.unlabelled is None


def test_a_check_of_a_method_on_a_folder(yolo, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    said = []
    options = dict(check=True, only_files=True, percent=50)
    assert train_folder(yolo, "dtg", said.append, **options) == 0
    assert "instances_train.1@50.json: training makes it" in said[-1]


def test_the_sizes_that_suit_are_said(yolo, monkeypatch):
    monkeypatch.setattr("ssod_mm.cli.run_phases.train_phases", lambda *_: 1)
    said = []
    train_folder(yolo, "supervised", said.append, percent=100)
    assert said[-1].startswith("sizes that suit the 3 labelled boxes")
    assert said[-1].endswith("; --cfg-options sizes=proposed takes them")
    train_folder(
        yolo, "supervised", said.append, percent=100, cfg_options={"sizes": "proposed"}
    )
    assert sum(line.startswith("sizes") for line in said) == 1


def test_all_labels_and_the_images_of_the_folder_without_labels(yolo):
    (yolo / "labels" / "train" / "b.txt").unlink()
    data = read_own_data(yolo)
    phases, split = plan_folder(data, "mean_teacher", percent=100)
    assert split is None
    words = " ".join(phases[-1].arguments)
    assert "datasets.1.ann_file=annotations/instances_unlabelled.json" in words
    assert "datasets.0.ann_file=annotations/instances_train.json" in words


def test_a_config_reads_the_converted_files(yolo, tmp_path, mmdet_scope):
    cfg = tiny_supervised_cfg(make_tiny_coco(tmp_path / "coco", 2))
    text = json.dumps(cfg).replace(str(tmp_path / "coco"), str(yolo))
    cfg = Config(dict(json.loads(text), work_dir=str(yolo / "runs")))
    resolved = resolve_config(cfg)
    dataset = resolved.train_dataloader.dataset.datasets[0]
    assert dataset.data_root == str(coco_folder(yolo))
    assert resolved.work_dir == str(yolo / "runs")
    assert str(yolo) + "/annotations" not in resolved.pretty_text


def test_a_config_of_a_coco_folder_stays(tmp_path):
    root = make_tiny_coco(tmp_path / "coco", 2)
    resolved = resolve_config(Config(tiny_supervised_cfg(root)))
    assert CACHE not in resolved.pretty_text


@pytest.mark.parametrize("write", [write_yolo, write_voc])
def test_the_converted_files_load(tmp_path, write, mmdet_scope):
    folder = coco_folder(write(tmp_path / "fruit"))
    dataset = CocoSemiDataset(
        data_root=str(folder),
        ann_file="annotations/instances_train.json",
        data_prefix=dict(img="train/"),
        pipeline=[dict(type="LoadImage")],
    )
    boxes = {
        item["img_path"].rsplit("/", 1)[1][0]: len(item["instances"])
        for item in dataset
    }
    assert boxes == {name: len(BOXES[name]) for name in "abc"}


def test_a_split_of_a_folder(yolo, monkeypatch, capsys):
    monkeypatch.syspath_prepend(str(tools_folder()))
    words = ["make_splits.py", "--ann", str(yolo), "--percent", "50", "--fold", "1"]
    monkeypatch.setattr("sys.argv", words)
    importlib.import_module("make_splits").main()
    folder = coco_folder(yolo) / "annotations" / "semi"
    assert f"3 files in {folder}" in capsys.readouterr().out
    assert (folder / "instances_train.1@50.json").is_file()


def test_a_fault_is_one_line(yolo, monkeypatch, capsys):
    write_text(yolo / "labels" / "train" / "a.txt", "9 0 0 0 0")
    monkeypatch.syspath_prepend(str(tools_folder()))
    monkeypatch.setattr("sys.argv", ["train.py", str(yolo), "--check"])
    with pytest.raises(SystemExit) as caught:
        importlib.import_module("train").main()
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "labels/train/a.txt: line 1: class 9 is none of the 2 classes" in error
