"""Runs of one split side by side, from records that nobody trained."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from ssod_mm.reporting.records import RunRecord
from ssod_mm.sweep.results import collect
from ssod_mm.sweep.results_page import (
    comparison_cells,
    comparison_panels,
    early_table,
    last_drawing,
    training_minutes,
    write_comparison,
)
from ssod_mm.sweep.state import StageFolder
from tests.sweep.fake_sweep import two_phase_plan

METRIC = "coco/bbox_mAP"


def two_rows():
    plan = two_phase_plan(1)
    rows = tuple(run.row for run in plan.runs)
    return replace(plan, sweep=replace(plan.sweep, rows=rows, baseline="a"))


def write_record(plan, out, stage, level, models=("",), **changes):
    """A finished record: AP is the level, and a point more for each further model."""
    metrics = {}
    for number, model in enumerate(models):
        start = f"{model}/" if model else ""
        last = level + 0.01 * number
        metrics |= {
            f"{start}{METRIC}": [[5, last / 2], [10, last]],
            f"{start}{METRIC}_50": [[10, 2 * last]],
        }
    record = RunRecord(
        name="x",
        state="finished",
        iterations=10,
        max_iters=10,
        wall_time_s=60.0,
        metrics=metrics,
        training={"loss": [(k, float(k)) for k in range(1, 11)]},
    )
    if models != ("",):
        record.training["pseudo_precision"] = [(5, float("nan")), (10, 0.5)]
    for key, value in changes.items():
        setattr(record, key, value)
    folder = StageFolder(plan.stages[stage], out)
    folder.prepare()
    record.write(folder.path / "record.json")


@pytest.fixture
def pair(tmp_path):
    """A plan of rows a and b with a common first phase, b with teacher and student."""
    plan = two_rows()
    first, a, b = plan.stages
    write_record(plan, tmp_path, first, 0.1)
    write_record(plan, tmp_path, a, 0.2)
    write_record(plan, tmp_path, b, 0.25, ("student", "teacher"))
    return plan, tmp_path


def test_a_line_for_each_model_with_its_gain(pair):
    plan, out = pair
    assert comparison_cells(collect(plan, out), "a") == [
        ["", "AP", "AP50", "AP75", "gain (AP)"],
        ["A", "20.0", "40.0", "-", ""],
        ["B: student", "25.0", "50.0", "-", "+5.0"],
        ["B: teacher", "26.0", "52.0", "-", "+6.0"],
    ]


def test_without_a_baseline_there_is_no_gain(pair):
    plan, out = pair
    cells = comparison_cells(collect(plan, out), None)
    assert cells[0] == ["", "AP", "AP50", "AP75"]
    assert {len(row) for row in cells} == {4}


def test_what_is_not_finished_has_dashes(pair):
    plan, out = pair
    write_record(plan, out, [*plan.stages][1], 0.9, state="running")
    cells = comparison_cells(collect(plan, out), "a")
    assert cells[1] == ["A", "-", "-", "-", ""]
    assert cells[2] == ["B: student", "25.0", "50.0", "-", "-"]


def test_panels_count_from_the_start_of_the_first_phase(pair):
    plan, out = pair
    panels = comparison_panels(collect(plan, out), METRIC)
    assert [panel.ylabel for panel in panels] == ["AP (%)", "%", "loss"]
    detection, precision, loss = (panel.curves for panel in panels)
    assert detection[1].label == "B"
    assert detection[1].points == [(5, 5.0), (10, 10.0), (15, 13.0), (20, 26.0)]
    assert precision[0].points == []
    assert precision[1].points == [(20, 50.0)]
    assert loss[0].points == [(k, float((k - 1) % 10 + 1)) for k in range(1, 21)]


def test_nothing_measured_is_no_panel(tmp_path):
    plan = two_rows()
    assert comparison_panels(collect(plan, tmp_path), METRIC) == []


def picture(plan, out, stage, name):
    folder = out / plan.stages[stage].folder / "pseudo_labels"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(name.encode())
    return folder / name


def test_the_latest_drawing_of_the_wanted_row(pair):
    plan, out = pair
    _, a, b = plan.stages
    results = collect(plan, out)
    assert last_drawing(plan, results, out, "b") is None
    other = picture(plan, out, a, "iter_000900.png")
    assert last_drawing(plan, results, out, "b") == other
    picture(plan, out, b, "iter_000250.png")
    latest = picture(plan, out, b, "iter_000500.png")
    assert last_drawing(plan, results, out, "b") == latest


def test_a_shared_first_phase_took_its_time_once(pair):
    plan, out = pair
    assert training_minutes(collect(plan, out)) == 3.0


def test_the_early_table_comes_once_and_only_before_others(pair):
    plan, out = pair
    first, a, b = plan.stages
    look = early_table(plan, out, ["a"])
    assert look(SimpleNamespace(finished={first, b})) is None
    table = look(SimpleNamespace(finished={first, a}))
    assert "20.0" in table
    assert "B" not in table
    assert look(SimpleNamespace(finished={first, a})) is None
    everything = SimpleNamespace(finished={first, a, b})
    assert early_table(plan, out, ["a", "b"])(everything) is None
    assert early_table(plan, out, ["a", "no such row"])(everything) is None


def test_files(pair):
    plan, out = pair
    picture(plan, out, [*plan.stages][2], "iter_000500.png")
    table = write_comparison(plan, out, 1.5, drawn="b")
    assert "Fake" in table
    assert "B: teacher" in table
    page = (out / "results.md").read_text()
    assert page.startswith("# Fake\n\n|  | AP | AP50 |")
    assert "Seed 0. This command took 1.5 minutes, all trainings together 3.0." in page
    for name in ("curves.png", "pseudo_labels.png", "report.html"):
        assert f"({name})" in page
    assert (out / "pseudo_labels.png").read_bytes() == b"iter_000500.png"
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in (out / "report.html").read_text()


def test_files_of_an_earlier_sweep_do_not_stay(tmp_path):
    plan = two_rows()
    for name in ("curves.png", "pseudo_labels.png"):
        (tmp_path / name).write_text("old")
    write_comparison(plan, tmp_path, 0.0, drawn="b")
    page = (tmp_path / "results.md").read_text()
    assert "png" not in page
    assert not [*tmp_path.glob("*.png")]


def test_without_plotly_the_rest_is_written(pair, monkeypatch):
    def refuse(*_):
        raise ModuleNotFoundError("the report's charts need plotly")

    monkeypatch.setattr("ssod_mm.sweep.results_page.sweep_report", refuse)
    plan, out = pair
    write_comparison(plan, out, 0.0, drawn="b")
    page = (out / "results.md").read_text()
    assert "No report: the report's charts need plotly." in page
    assert "(report.html)" not in page
