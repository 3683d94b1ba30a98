"""What the calls of ssod_mm.apis return."""

from __future__ import annotations

import json

import pytest

from ssod_mm import apis
from ssod_mm.errors import UserError
from ssod_mm.reporting.records import read_record
from tests.helpers import make_tiny_coco, tiny_supervised_cfg, write_config


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    """A tiny detector of two iterations that is validated at the end."""
    folder = tmp_path_factory.mktemp("apis")
    cfg = tiny_supervised_cfg(make_tiny_coco(folder / "data", 4))
    cfg["custom_imports"]["imports"].append("ssod_mm.evaluation")
    cfg["custom_hooks"] = [*cfg.get("custom_hooks", []), dict(type="RunRecordHook")]
    cfg["val_cfg"] = dict(type="ValLoop")
    cfg["train_cfg"]["val_interval"] = 2
    for part in ("val", "test"):
        cfg[f"{part}_dataloader"] = cfg["test_dataloader"]
        cfg[f"{part}_evaluator"] = dict(cfg["test_evaluator"], type="FastCocoMetric")
    return write_config(cfg, folder / "tiny.py")


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    return apis.train(config, seed=3, work_dir=tmp_path_factory.mktemp("run"))


def test_a_training_gives_its_record_and_checkpoint(run):
    assert run.checkpoint == run.work_dir / "iter_2.pth"
    assert run.checkpoint.is_file()
    assert run.record == read_record(run.work_dir)
    assert (run.record.seed, run.record.state) == (3, "finished")
    assert 0 <= run.metrics["coco/bbox_mAP"] <= 1


def test_a_test_gives_the_metrics_of_the_training(config, run, tmp_path):
    out = tmp_path / "deeper" / "results.json"
    results = apis.test(config, run.checkpoint, out=out, work_dir=tmp_path)
    assert results["coco/bbox_mAP"] == pytest.approx(run.metrics["coco/bbox_mAP"])
    assert json.loads(out.read_text()) == results


def test_a_prediction_is_what_its_file_holds(config, run, tmp_path):
    image = next((config.parent / "data").rglob("*.jpg"))
    found = apis.predict(
        config, run.checkpoint, image, out=tmp_path, score_thr=0.01, device="cpu"
    )
    assert json.loads(found.path.read_text()) == found.coco
    assert [entry["file_name"] for entry in found.coco["images"]] == [image.name]
    assert (found.which, found.left_out) == ("teacher", ())
    assert "at least 0.01 on 1 images" in str(found)


def test_an_export_names_both_files(config, run, tmp_path):
    files = apis.export(config, run.checkpoint, out=tmp_path)
    assert files.config.is_file()
    assert files.weights.is_file()
    assert tuple(files) == (files.config, files.weights)


def test_mistakes_are_user_errors(config, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no checkpoint absent\.pth"):
        apis.test(config, "absent.pth")
    with pytest.raises(UserError, match="nothing reads it"):
        apis.train(config, work_dir=tmp_path, cfg_options={"absent.key": 1})
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_that_has_not_begun(config, tmp_path):
    file = tmp_path / "small.py"
    file.write_text(f"methods = dict(tiny=dict(config={str(config)!r}))\n")
    result = apis.sweep(file, out=tmp_path / "out", train=False)
    assert result.states == {"tiny-fold1-seed0": "waiting"}
    assert [run.record for run in result.runs] == [None]
    assert result.table.labels == {"tiny": "tiny"}
    assert "tiny" in str(result)
    assert not (tmp_path / "out").exists()
