"""The examples of the documentation run as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from ssod_mm.cli.lookup import changed_keys, load_config, load_parent
from ssod_mm.data.split_files import make_splits
from ssod_mm.engine.runtime import build_runner, resolve_config
from tests.config_runs import shrink
from tests.docs_text import METHODS, READERS_OWN, ROOT, TEXTS, blocks
from tests.helpers import make_tiny_coco


@pytest.fixture(scope="module")
def examples(tmp_path_factory) -> Path:
    """A folder with the files that the page on methods tells the reader to write."""
    root = tmp_path_factory.mktemp("examples")
    (root / "configs").symlink_to(ROOT / "configs")
    (root / READERS_OWN).mkdir()
    text = TEXTS[METHODS]
    for start, block in blocks(text, "python"):
        name = re.findall(rf"`({READERS_OWN}\w+\.py)`", text[:start])[-1]
        (root / name).write_text(block)
    return root


def test_example_of_an_ablation_changes_one_key(examples):
    path = examples / READERS_OWN / "mean_teacher_thr09.py"
    changes = changed_keys(load_parent(path), load_config(path))
    assert list(changes) == ["model.semi_train_cfg.score_thr"]
    assert changes["model.semi_train_cfg.score_thr"][1] == 0.9


def test_examples_are_all_of_the_readers_files(examples):
    named = {name for name in re.findall(rf"{READERS_OWN}(\w+\.py)", TEXTS[METHODS])}
    assert named == {path.name for path in (examples / READERS_OWN).glob("*.py")}


@pytest.fixture
def top_k_runner(examples, tmp_path, monkeypatch):
    """The example of a method, after one training iteration in small."""
    monkeypatch.syspath_prepend(examples)
    torch.set_num_threads(1)
    data = make_tiny_coco(tmp_path / "shapes", 20, num_classes=8)
    ann_file = data / "annotations/instances_train.json"
    make_splits(ann_file, ann_file.parent / "semi", [5], folds=[1])
    path = examples / READERS_OWN / "top_k_teacher_shapes.py"
    options = {"data_root": str(data)}
    cfg = shrink(resolve_config(load_config(path), cfg_options=options))
    cfg.model.semi_train_cfg.ignore_thr = None  # every score is taught here
    runner = build_runner(resolve_config(cfg, work_dir=str(tmp_path / "out")))
    runner.train()
    return runner


def test_example_of_a_method_trains(top_k_runner):
    step = top_k_runner.model.last_step
    assert type(top_k_runner.model).__name__ == "TopKTeacher"
    assert all(len(instances) <= 3 for instances in step.labels_weak.instances)
    kept = step.labels_strong.instances
    assert sum(map(len, kept)) > 0
    logged = top_k_runner.message_hub.log_scalars
    trust = torch.cat([instances.scores.square() for instances in kept]).mean().item()
    assert logged["train/pseudo_trust"].current() == pytest.approx(trust, rel=1e-4)
    assert logged["train/unsup_loss_rpn_cls"].current() > 0
    assert logged["train/unsup_loss_cls"].current() > 0
    assert "val/teacher/coco/bbox_mAP" in logged


def test_a_large_detector_for_own_data():
    """The options of a COCO config that the page on own data describes."""
    options = {"data_root": "/mine", "year": "", "num_classes": None}
    text = TEXTS["docs/own_data.md"]
    assert "data_root=path/to/data year= num_classes=None" in text
    cfg = load_config("mean_teacher/mean_teacher_faster-rcnn_r50_coco.py")
    cfg = resolve_config(cfg, cfg_options=options, check_files=())
    sources = [*cfg.train_dataloader.dataset.datasets, cfg.val_dataloader.dataset]
    assert [source.data_root for source in sources] == ["/mine"] * 3
    assert sources[0].ann_file == "annotations/semi/instances_train.1@10.json"
    assert sources[0].data_prefix.img == "train/"
    assert cfg.val_evaluator.ann_file == "/mine/annotations/instances_val.json"
