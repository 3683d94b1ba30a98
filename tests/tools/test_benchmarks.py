"""Benchmarks of the training step and of the clustering, on tiny inputs."""

from __future__ import annotations

import json
from time import sleep

import pytest

from ssod_mm.apis.step_times import part_costs, timed_calls
from ssod_mm.cli.lookup import load_config
from ssod_mm.models.dense import anchors
from tests.config_runs import make_layouts, shrink
from tests.tools.semi_checkpoints import call_tool

CONFIG = "dtg/dtg_ffrcnn_r18_short_shapes_p05.py"
PARTS = ["clustering", "mapping", "matching", "statistics", "all"]


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    root = make_layouts(tmp_path_factory.mktemp("layouts"))
    file = root / "tiny.py"
    shrink(load_config(CONFIG, {"data_root": str(root / "shapes")})).dump(file)
    return file


def run_benchmark(config, out, *variants):
    """What the step benchmark leaves in its json file."""
    few = ["--rounds", 2, "--batches", 1, "--no-memory"]
    call_tool("benchmark_step", config, *few, "--out", out, "--variants", *variants)
    return json.loads(out.read_text())


def test_share_of_the_clusters_is_reported(config, tmp_path, capsys):
    results = run_benchmark(config, tmp_path / "out.json", "method", "mean_teacher")
    assert {name: len(times) for name, times in results["step_s"].items()} == {
        "method": 2,
        "mean_teacher": 2,
    }
    costs = results["clusters"]
    assert list(costs) == PARTS
    assert all(cost["ms"] > 0 and 0 < cost["share"] < 1 for cost in costs.values())
    printed = capsys.readouterr().out
    assert f"{100 * costs['all']['share']:.2f} %" in printed


def test_other_methods_have_no_such_share(config, tmp_path, capsys):
    results = run_benchmark(config, tmp_path / "out.json", "mean_teacher")
    assert results["clusters"] == {}
    assert "clustering" not in capsys.readouterr().out


def test_beside_another_config(config, tmp_path, capsys):
    out = tmp_path / "out.json"
    results = run_benchmark(config, out, "against", "--against", config)
    assert list(results["step_s"]) == ["against"]
    with pytest.raises(SystemExit):
        run_benchmark(config, out, "against")
    assert "--against CONFIG" in capsys.readouterr().err


def test_calls_are_timed_only_inside(monkeypatch):
    monkeypatch.setattr(anchors, "box_areas", lambda value: sleep(0.02) or value)
    before = anchors.box_areas
    name = "ssod_mm.models.dense.anchors.box_areas"
    with timed_calls({"areas": [name], "none": []}) as spent:
        assert [anchors.box_areas(value) for value in (3, 4)] == [3, 4]
    assert anchors.box_areas is before
    after = spent["areas"]
    anchors.box_areas(5)
    assert spent["areas"] == after >= 0.04
    assert spent["none"] == 0


def test_costs_are_medians_over_rounds():
    times = dict(
        step=[1.0, 2.0, 4.0],
        clustering=[0.1, 0.1, 0.1],  # shares 0.1, 0.05, 0.025
        matching=[0.0, 0.1, 0.3],  # shares 0, 0.05, 0.075
        mapping=[0.0, 0.0, 0.0],
        statistics=[0.0, 0.0, 0.0],
    )
    costs = part_costs(times)
    assert costs["clustering"] == pytest.approx(dict(ms=100, share=0.05))
    assert costs["matching"] == pytest.approx(dict(ms=100, share=0.05))
    assert costs["statistics"] == dict(ms=0, share=0)
    assert costs["all"] == pytest.approx(dict(ms=200, share=0.1))  # of 0.1, 0.1, 0.1


def test_clustering_alone(capsys, mmdet_scope):
    options = ["--images", 2, "--rounds", 1, "--device", "cpu", "--no-worst-case"]
    call_tool("benchmark_clustering", *options)
    rows = [line.strip("|").split("|") for line in capsys.readouterr().out.split("\n")]
    stages = [(int(row[0]), row[1].strip()) for row in rows if row[0].strip().isdigit()]
    expected = ["R-CNN", "RPN", "matching", "matching, all"]
    assert stages == [(images, stage) for images in (1, 2) for stage in expected]
