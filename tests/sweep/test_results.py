"""From records to table and report."""

from __future__ import annotations

import html
import json
import re
import time
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest

from ssod_mm.reporting import sweep_tables
from ssod_mm.reporting.charts import band, class_chart, curve_chart
from ssod_mm.sweep.plan import Run
from ssod_mm.sweep.report import sweep_report
from ssod_mm.sweep.results import collect, result_table
from ssod_mm.sweep.spec import Row
from ssod_mm.sweep.state import StageFolder
from tests.sweep.fake_sweep import make_plan, make_stage, two_phase_plan
from tests.sweep.synthetic import synthetic_plan, write_synthetic


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    out = tmp_path_factory.mktemp("small")
    plan = synthetic_plan(ratios=(5, 10), folds=2, seeds=1)
    write_synthetic(plan, out)
    return plan, out


def test_only_finished_runs_count(small, tmp_path):
    plan, _ = small
    write_synthetic(plan, tmp_path, num_points=2)
    folder = StageFolder(plan.stages[plan.runs[0].stages[-1]], tmp_path)
    record = folder.record()
    record.state = "running"
    record.write(folder.path / "record.json")
    table = result_table(plan, collect(plan, tmp_path))
    cell = table.cells["supervised", 5]
    assert (cell.summary.num, cell.num_missing) == (1, 1)
    assert table.cells["dtg", 5].difference.num == 1


def test_values_are_percent_of_the_model_that_counts(small):
    plan, out = small
    table = result_table(plan, collect(plan, out))
    # 0.2 + 0.01 * row + 0.05 + 0.002 * fold, over two folds
    assert table.cells["certainty", 5].summary.mean == pytest.approx(27.3)
    assert table.cells["certainty", 5].difference.mean == pytest.approx(2.0)
    assert {row for row, _ in table.cells if table.cells[row, 10].is_best} == {"dtg"}


def test_a_curve_counts_both_phases(tmp_path):
    plan = two_phase_plan(1)
    for number, stage in enumerate(plan.stages.values()):
        folder = StageFolder(stage, tmp_path)
        folder.prepare()
        content = {
            "schema": 1,
            "name": "x",
            "state": "finished",
            "max_iters": 10,
            "metrics": {"coco/bbox_mAP": [[10, 0.1 * (number + 1)]]},
        }
        (folder.path / "record.json").write_text(json.dumps(content))
    first, _ = collect(plan, tmp_path)
    assert first.curve("coco/bbox_mAP") == [(10, 10.0), (20, 20.0)]


def test_a_rows_own_published_number_stands_apart(small):
    plan, out = small
    rows = {}
    for run in plan.runs:
        if run.row.key == "dtg":
            row = replace(run.row, published={10: 35.8}, table="5")
            rows[run.row.key] = row
    runs = tuple(replace(run, row=rows.get(run.row.key, run.row)) for run in plan.runs)
    before = result_table(plan, collect(plan, out))
    plan = replace(plan, runs=runs)
    table = result_table(plan, collect(plan, out))
    cell = table.cells["dtg", 10]
    assert (cell.published, cell.published_in) == (35.8, "5")
    assert table.cells["dtg", 5].published is None
    assert cell.summary == before.cells["dtg", 10].summary
    assert "35.80 (table 5)" in sweep_tables.markdown(table)
    assert sweep_tables.as_csv(table).splitlines()[-1].endswith(",35.8,5")
    page = sweep_report(plan, collect(plan, out), out)
    assert "table 5" in page
    other = replace(plan, sweep=replace(plan.sweep, metric="coco/bbox_mAP_50"))
    table = result_table(other, collect(other, out))
    assert table.cells["dtg", 10].published is None


def test_a_band_needs_all_runs():
    runs = [[(1, 1.0), (2, 2.0), (3, float("nan"))], [(1, 3.0), (2, 2.0), (3, 1.0)], []]
    steps, means, spreads = band(runs)
    assert (steps, means) == ([1, 2], [2.0, 2.0])
    assert spreads == [pytest.approx(2**0.5, abs=1e-4), 0.0]
    assert len(band([[(n, 0.0) for n in range(9999)]])[0]) <= 252


def test_classes_stand_at_their_frequency():
    runs = [{"cat": 0.5, "dog": None}, {"cat": 0.7, "dog": 0.2}]
    (points,) = class_chart("", {"a": runs}, [{"cat": 2}, {"cat": 4, "dog": 9}])["data"]
    assert dict(
        zip(points["text"], zip(points["x"], points["y"], strict=True), strict=True)
    ) == {
        "cat": (3.0, 60.0),
        "dog": (4.5, 20.0),
    }


def test_rows_of_a_chart_can_be_told_apart():
    groups = {f"row {number}": [[(1, 0.5), (2, 0.6)]] for number in range(16)}
    lines = curve_chart("", "AP", groups)["data"]
    assert len({(line["line"]["color"], line["line"]["dash"]) for line in lines}) == 16
    symbols = {(line["line"]["color"], line["marker"]["symbol"]) for line in lines}
    assert len(symbols) == 16


def test_no_axis_goes_below_zero():
    layout = curve_chart("", "AP", {"row": [[(1, 0.0), (2, 0.0)]]})["layout"]
    assert layout["yaxis"]["rangemode"] == "nonnegative"
    assert layout["xaxis"]["rangemode"] == "nonnegative"


def test_a_covered_line_shows_behind_the_later_ones():
    first = [(1, 0.5), (2, 0.6)]
    groups = {"a": [first], "b": [[*first, (3, 0.7)]], "c": [[(1, 0.1), (2, 0.6)]]}
    lines = curve_chart("", "AP", groups)["data"]
    assert [line["line"].get("width") for line in lines] == [5, None, None]
    points = {"a": [[(1, 0.5)]], "b": [[(1, 0.5)]], "c": [[(1, 0.5)]]}
    lines = curve_chart("", "AP", points)["data"]
    assert [line["line"].get("width") for line in lines] == [8, 5, None]


class Outline(HTMLParser):
    """Counts elements and notes what would be loaded from elsewhere."""

    def __init__(self):
        super().__init__()
        self.counts, self.loaded, self.open = {}, [], []

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for key, value in attrs:
            if key in ("src", "href") and not value.startswith("data:"):
                self.loaded.append(value)
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(small):
    plan, out = small
    folder = out / plan.stages[plan.runs[-1].stages[-1]].folder / "pseudo_labels"
    folder.mkdir()
    cv2.imwrite(str(folder / "iter_10.png"), np.zeros((4, 4, 3), np.uint8))
    return sweep_report(plan, collect(plan, out), out)


def test_the_page_is_whole_and_loads_nothing(page):
    outline = Outline()
    outline.feed(page)
    assert outline.open == []
    assert outline.loaded == []
    assert outline.counts["img"] == 1
    assert outline.counts["table"] == 5
    assert "<h2>AP50</h2>" in page
    assert "<h2>AP75</h2>" not in page  # not measured
    assert "Synthetic &lt;sweep&gt;" in page


def test_commands_have_no_absolute_paths(page, small, monkeypatch):
    plan, out = small
    assert str(out) not in page
    assert f"--work-dir {out.name}/" in page
    monkeypatch.chdir(out.parent.parent)
    assert f"--work-dir {out.parent.name}/{out.name}/" in sweep_report(plan, [], out)


def test_paths_of_a_user_are_relative_in_commands(tmp_path, monkeypatch):
    """The data folder, a checkpoint and a list of them, as seen from the folder."""
    options = dict(
        data_root=str(tmp_path / "my data"),
        pretrained="https://a.b/c.pth",
        continue_from=str(tmp_path / "here/a.pth"),
        checkpoints=[str(tmp_path / "a.pth"), str(tmp_path / "b.pth")],
    )
    stage = make_stage("m", **options)
    run = Run(Row("m", "M", "m.py"), 5, 1, 0, (stage.id,))
    plan = make_plan([stage], [run])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    page = sweep_report(plan, [], tmp_path / "out")
    commands = html.unescape(page[page.index("<h2>Commands") :])
    commands = commands[: commands.index("</section>")]
    assert str(tmp_path) not in commands
    assert "'data_root=../my data'" in commands
    assert "pretrained=https://a.b/c.pth" in commands
    assert "continue_from=a.pth" in commands
    assert "[../a.pth,../b.pth]" in commands


def test_every_chart_has_a_place(page):
    data = re.search(r'id="charts">(.*?)</script>', page, re.DOTALL)[1]
    charts = json.loads(data)
    assert set(charts) == set(re.findall(r'class="chart" id="(\w+)"', page))
    # curves, quality, classes, thresholds of two ratios each, and the ratio chart
    assert len(charts) == 9
    assert all(chart["data"] for chart in charts.values())


def test_a_page_of_nothing_has_no_charts(tmp_path):
    stage = make_stage("m")
    plan = make_plan([stage])
    page = sweep_report(plan, collect(plan, tmp_path), tmp_path)
    assert 'class="chart"' not in page


def test_three_hundred_records_take_less_than_ten_seconds(tmp_path):
    plan = synthetic_plan()
    write_synthetic(plan, tmp_path)
    assert len(plan.runs) == 300
    start = time.process_time()
    results = collect(plan, tmp_path)
    assert "dtg" in sweep_tables.terminal(result_table(plan, results))
    assert len(sweep_report(plan, results, tmp_path)) > 1_000_000
    assert time.process_time() - start < 10
