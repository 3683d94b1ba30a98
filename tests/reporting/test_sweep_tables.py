"""Statistics and renderings of a sweep's table."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from ssod_mm.reporting import page, sweep_tables
from ssod_mm.reporting.statistics import paired_difference, summarise
from ssod_mm.reporting.sweep_tables import Measurement, sweep_table


def test_summary_of_three_values():
    summary = summarise([10.0, 12.0, 14.0])
    assert (summary.mean, summary.std, summary.num) == (12.0, 2.0, 3)
    assert summarise([3.0]).std is None
    assert summarise([]) is None


def test_pairs_are_by_split():
    ours, theirs = {1: 11.0, 2: 13.0, 3: 99.0}, {2: 12.0, 1: 9.0}
    change = paired_difference(ours, theirs)
    # 2 and 1: mean 1.5, deviation 0.7071, half width 12.706 * 0.5
    assert change.mean == 1.5
    assert change.low == pytest.approx(1.5 - 6.353, abs=1e-3)
    assert change.high == pytest.approx(1.5 + 6.353, abs=1e-3)
    assert not change.is_certain
    # Four pairs of mean 1.5 and deviation 1.29: t of three degrees is 3.182.
    change = paired_difference(
        {k: float(k) for k in range(4)}, dict.fromkeys(range(4), 0.0)
    )
    assert change.high - change.mean == pytest.approx(3.18245 * 1.29099 / 2, abs=1e-4)
    assert paired_difference({1: 2.0}, {1: 1.0}).low is None
    assert paired_difference({1: 2.0}, {2: 1.0}) is None


@pytest.fixture
def table():
    values = {
        ("sup", 5): [10.0, 11.0],
        ("ours", 5): [13.0, 14.5],
        ("sup", 10): [20.0],
    }
    return sweep_table(
        "Shapes & more",
        {"sup": "Supervised", "ours": "Ours_1"},
        (5, 10),
        [
            Measurement(row, column, fold, value)
            for (row, column), own in values.items()
            for fold, value in enumerate(own, 1)
        ],
        baseline="sup",
        published={("ours", 5): 15.25},
        num_planned={("ours", 10): 2, ("sup", 5): 2, ("ours", 5): 2},
    )


def test_cells(table):
    ours, baseline = table.cells["ours", 5], table.cells["sup", 5]
    assert ours.summary.mean == 13.75
    assert ours.difference.mean == 3.25
    assert (ours.is_best, baseline.is_best) == (True, False)
    assert baseline.difference is None
    assert table.cells["ours", 10].summary is None
    assert table.cells["ours", 10].num_missing == 2


def test_seeds_of_a_fold_count_as_one():
    rows = [("a", 1, 10.0), ("a", 1, 20.0), ("a", 2, 30.0)]
    measured = [Measurement(row, None, fold, value) for row, fold, value in rows]
    cell = sweep_table("", {"a": "A"}, (None,), measured).cells["a", None]
    assert cell.summary.mean == 22.5
    assert cell.summary.num == 2


def test_terminal_marks_the_best(table):
    text = sweep_tables.terminal(table)
    assert "13.75 ± 1.06 * (+3.25)" in text
    assert "- [2 missing]" not in text


def test_markdown(table):
    lines = sweep_tables.markdown(table).splitlines()
    assert lines[0] == "| AP | 5 % | 5 %, published | 10 % | 10 %, published |"
    assert lines[3] == "| Ours_1 | **13.75 ± 1.06** (+3.25) | 15.25 | - | - |"


def test_latex_escapes_and_aligns(table):
    text = sweep_tables.latex(table)
    assert r"\begin{tabular}{lcccc}" in text
    assert (
        r"Ours\_1 & $\mathbf{13.75 \pm 1.06}\,{\scriptstyle (+3.25)}$ & 15.25" in text
    )
    assert r"10 \%" in text
    rows = [line for line in text.splitlines() if "&" in line]
    assert {line.count(" & ") for line in rows} == {4}


def test_csv_has_every_cell_unrounded(table):
    rows = list(csv.DictReader(io.StringIO(sweep_tables.as_csv(table))))
    assert len(rows) == 4
    ours = next(
        line for line in rows if line["row"] == "ours" and line["percent"] == "5"
    )
    assert float(ours["std"]) == pytest.approx(1.06066, abs=1e-5)
    assert float(ours["published"]) == 15.25
    assert next(line for line in rows if line["percent"] == "10")["std"] == ""


def test_differences_have_intervals(table):
    header, ours = sweep_tables.difference_rows(table)
    assert header == ["AP against Supervised", "5 %", "10 %"]
    # 3 and 3.5: mean 3.25, deviation 0.35355, half width 12.706 * 0.25
    assert ours == ["Ours_1", "+3.25 [+0.07, +6.43]", "-"]


def test_one_fold_has_no_second_table():
    values = [Measurement("sup", 5, 1, 10.0), Measurement("ours", 5, 1, 11.0)]
    labels = {"sup": "Supervised", "ours": "Ours"}
    table = sweep_table("", labels, (5,), values, baseline="sup")
    assert table.cells["ours", 5].difference.mean == 1.0
    assert sweep_tables.difference_rows(table) == []


ODD = "=1+1|<!--<script>alert(1)</script> \\input{x}^~&\n"


def odd_table():
    return sweep_table(
        "odd", {"a": ODD}, (5,), [Measurement("a", 5, 1, 3.0)], baseline=None
    )


def test_odd_labels_are_text_in_every_format():
    table = odd_table()
    label = next(csv.DictReader(io.StringIO(sweep_tables.as_csv(table))))["label"]
    assert label == f"'{ODD}"
    for sign in "=+-@":
        assert sweep_tables.spreadsheet_text(f"{sign}x") == f"'{sign}x"
    assert sweep_tables.spreadsheet_text("a=b") == "a=b"
    row = sweep_tables.markdown(table).splitlines()[2]
    assert row.startswith("| =1+1\\|&lt;!--&lt;script>")
    lines = sweep_tables.latex(table).splitlines()
    line = next(line for line in lines if line.startswith("=1+1"))
    assert r"\textbackslash{}input\{x\}\^{}\textasciitilde{}\&" in line


def test_odd_names_do_not_break_the_reports_script():
    chart = dict(data=[dict(name=ODD, x=[1], y=[2])], layout={})
    section = page.Section(title=ODD, charts=[chart], note=ODD)
    html = page.html_page(ODD, ODD, [section])
    assert "<!--<script>alert" not in html
    data = re.search(r'id="charts">(.*?)</script>', html, re.DOTALL)[1]
    assert json.loads(data)["chart0"]["data"][0]["name"] == ODD
