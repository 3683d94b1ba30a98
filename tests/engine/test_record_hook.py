"""The record of a run: whole, resumed, cut off in its validation."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from pycocotools.coco import COCO

from ssod_mm.cli.resolve import resolve_config
from ssod_mm.engine.runtime import build_runner
from ssod_mm.evaluation.coco_metric import FastCocoMetric
from ssod_mm.reporting.records import RECORD_FILE, read_record
from tests.helpers import make_tiny_coco, tiny_mean_teacher_cfg

NUM_ITERATIONS = 4
AP = "coco/bbox_mAP"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp("data"), 8)


def train(data, work_dir, resume=None, **changes):
    cfg = tiny_mean_teacher_cfg(data, max_iters=NUM_ITERATIONS)
    cfg["train_cfg"]["val_interval"] = 2
    cfg["val_cfg"] = dict(type="BothModelsValLoop")
    cfg["val_dataloader"] = cfg["test_dataloader"]
    cfg["val_evaluator"] = dict(cfg["test_evaluator"], type="FastCocoMetric")
    cfg["custom_imports"]["imports"].append("ssod_mm.evaluation")
    cfg["custom_hooks"].append(dict(type="RunRecordHook"))
    cfg["default_hooks"]["checkpoint"]["interval"] = 2
    cfg.update(changes)
    cfg = resolve_config(Config(cfg), work_dir=str(work_dir), resume=resume)
    cfg.experiment_name = str(work_dir)[1:].replace("/", "_") + str(resume)
    cfg.visualizer.name = cfg.experiment_name
    runner = build_runner(cfg)
    runner.train()
    return runner


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(data, folder)
    return folder


def test_says_what_the_run_is(data, whole):
    record = read_record(whole)
    train_file = data / "annotations/instances_train.json"
    digest = hashlib.sha256(train_file.read_bytes()).hexdigest()
    assert record.splits["instances_train.json"] == digest
    counts = [
        annotation["category_id"]
        for annotation in json.loads(train_file.read_text())["annotations"]
    ]
    assert sum(record.class_counts.values()) == len(counts)
    assert record.class_counts["class_0"] == counts.count(1)
    assert record.is_finished
    assert (record.iterations, record.max_iters, record.seed) == (4, 4, 0)
    assert record.wall_time_s > 0
    assert record.peak_memory_mb > 50
    assert "torch" in record.versions
    assert record.device


def test_has_the_results_of_both_models(whole):
    record = read_record(whole)
    assert record.models == ["teacher", "student"]
    for model in record.models:
        assert [step for step, _ in record.series(AP, model)] == [2, 4]
    assert [step for step, _ in record.training["loss"]] == [1, 2, 3, 4]
    assert all(value > 0 for _, value in record.training["loss"])


def test_parts_average_to_the_whole(data):
    """AP per class and per threshold have the mean of the metric itself."""
    ann_file = data / "annotations/instances_val.json"
    truth = COCO(ann_file)
    for fast in (True, False):
        metric = FastCocoMetric(ann_file=str(ann_file), fast=fast)
        metric.dataset_meta = {"classes": ["class_0", "class_1", "class_2"]}
        results = []
        for img_id in truth.imgs:
            anns = truth.loadAnns(truth.getAnnIds(imgIds=[img_id]))
            boxes = [
                [x, y, x + 0.8 * w, y + h] for x, y, w, h in (a["bbox"] for a in anns)
            ]
            results.append(
                (
                    {"img_id": img_id, "width": 128, "height": 96},
                    {
                        "img_id": img_id,
                        "bboxes": np.array(boxes),
                        "scores": np.full(len(boxes), 0.5),
                        "labels": np.array([a["category_id"] - 1 for a in anns]),
                    },
                )
            )
        metrics = metric.compute_metrics(results)
        parts = metric.breakdown
        known = [ap for ap in parts.per_class.values() if not math.isnan(ap)]
        assert metrics["bbox_mAP"] > 0.2
        assert sum(known) / len(known) == pytest.approx(metrics["bbox_mAP"], abs=2e-3)
        assert parts.per_iou[0] == pytest.approx(metrics["bbox_mAP_50"], abs=2e-3)
        assert parts.per_iou[5] == pytest.approx(metrics["bbox_mAP_75"], abs=2e-3)
        assert parts.iou_thresholds[5] == 0.75
        assert sum(parts.per_iou) / 10 == pytest.approx(metrics["bbox_mAP"], abs=2e-3)


def same_measurements(one, other):
    assert one.metrics == other.metrics
    assert one.per_iou == other.per_iou
    assert one.training.keys() == other.training.keys()
    for key, points in one.training.items():
        theirs = other.training[key]
        assert [step for step, _ in points] == [step for step, _ in theirs]
        for (_, value), (_, their) in zip(points, theirs, strict=True):
            assert value == pytest.approx(their, rel=1e-4, nan_ok=True)


def test_a_resumed_run_continues_the_record(data, whole, tmp_path):
    """Killed in the validation of iteration 2: resumed, it is made up for."""
    cut = json.loads((whole / RECORD_FILE).read_text())
    cut["metrics"], cut["state"] = {}, "running"
    (tmp_path / RECORD_FILE).write_text(json.dumps(cut))
    checkpoint = whole / "iter_2.pth"
    train(data, tmp_path, resume=str(checkpoint))
    record = read_record(tmp_path)
    assert record.is_finished
    same_measurements(record, read_record(whole))


def test_a_killed_last_validation_is_made_up_for(data, whole, tmp_path):
    cut = json.loads((whole / RECORD_FILE).read_text())
    cut["metrics"] = {key: points[:1] for key, points in cut["metrics"].items()}
    (tmp_path / RECORD_FILE).write_text(json.dumps(cut))
    train(data, tmp_path, resume=str(whole / "iter_4.pth"))
    record = read_record(tmp_path)
    assert record.is_finished
    same_measurements(record, read_record(whole))
    assert record.wall_time_s >= 0


def test_another_configs_record_is_not_continued(data, whole, tmp_path):
    old = json.loads((whole / RECORD_FILE).read_text())
    old["config_sha256"] = "another"
    old["metrics"] = {"stranger": [[2, 0.5]]}
    (tmp_path / RECORD_FILE).write_text(json.dumps(old))
    train(data, tmp_path)
    assert "stranger" not in read_record(tmp_path).metrics


def test_weights_to_start_from_bring_no_record(data, whole, tmp_path):
    train(data, tmp_path, load_from=str(Path(whole) / "iter_4.pth"))
    assert [step for step, _ in read_record(tmp_path).training["loss"]] == [1, 2, 3, 4]
