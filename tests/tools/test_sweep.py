"""tools/sweep.py as a command, with one real training of two iterations."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import make_tiny_coco, tiny_mean_teacher_cfg, write_config

ROOT = Path(__file__).resolve().parents[2]


def sweep(*words: object) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, str(ROOT / "tools" / "sweep.py"), *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": "-1"},
        cwd=ROOT,
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    cfg = tiny_mean_teacher_cfg(make_tiny_coco(folder / "data", 8))
    cfg["val_cfg"] = dict(type="BothModelsValLoop")
    cfg["val_dataloader"] = cfg["test_dataloader"]
    cfg["val_evaluator"] = dict(cfg["test_evaluator"], type="FastCocoMetric")
    cfg["custom_imports"]["imports"].append("ssod_mm.evaluation")
    cfg["custom_hooks"].append(dict(type="RunRecordHook"))
    config = write_config(cfg, folder / "tiny.py")
    file = folder / "small.py"
    file.write_text(f"methods = dict(tiny=dict(config={str(config)!r}))\n")
    result = sweep(file, "run", "--out", folder / "out")
    assert result.returncode == 0, result.stdout + result.stderr
    return file, folder / "out", result.stdout


def test_run_says_what_happens(trained):
    file, out, said = trained
    assert "started      tiny-fold1-seed0 on CPU 1" in said
    assert "1 trainings for 1 runs: 1 finished" in said
    again = sweep(file, "run", "--out", out)
    assert again.returncode == 0
    assert "started" not in again.stdout


def test_table_and_report(trained, tmp_path):
    file, out, _ = trained
    table = sweep(file, "table", "--out", out, "--format", "csv").stdout
    (row,) = csv.DictReader(io.StringIO(table))
    assert (row["row"], row["folds"], row["missing"]) == ("tiny", "1", "0")
    assert float(row["mean"]) >= 0
    page = tmp_path / "page.html"
    result = sweep(file, "report", "--out", out, "--save", page)
    assert result.returncode == 0, result.stderr
    assert "tiny-fold1-seed0" in page.read_text()


def test_a_mistake_is_one_line(trained):
    file, out, _ = trained
    result = sweep(file, "rerun", "nobody", "--out", out)
    assert result.returncode == 2
    assert "no run nobody; there are tiny-fold1-seed0" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
