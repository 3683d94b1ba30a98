"""The report in a real browser, where there is one: drawn, sorted, no complaint."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from ssod_mm.sweep.report import sweep_report
from ssod_mm.sweep.results import collect
from tests.sweep.synthetic import synthetic_plan, write_synthetic

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))),
    None,
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium is installed")

PROBE = """
<script>
window.chartsDrawn.then(() => {
  const table = document.querySelector("table");
  const order = () => [...table.tBodies[0].rows].map(row => row.cells[0].textContent);
  const head = table.tHead.rows[0].cells[1];
  const found = {given: order()};
  head.querySelector("button").click();
  found.descending = order();
  head.querySelector("button").click();
  found.ascending = order();
  found.sort = head.getAttribute("aria-sort");
  found.places = document.querySelectorAll(".chart").length;
  found.drawn = document.querySelectorAll(".chart svg.main-svg .trace").length > 0
    ? [...document.querySelectorAll(".chart")].filter(
        one => one.querySelector("svg .trace")).length : 0;
  found.wide = document.documentElement.scrollWidth > window.innerWidth;
  const mark = document.createElement("pre");
  mark.id = "found";
  mark.textContent = JSON.stringify(found);
  document.body.append(mark);
});
</script>
</body>
"""


def visit(page: str, folder) -> tuple[dict, list[str]]:
    """What the probe finds, and what the console says."""
    path = folder / "report.html"
    path.write_text(page)
    result = subprocess.run(
        [
            BROWSER,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--window-size=1280,900",
            "--virtual-time-budget=20000",
            f"--user-data-dir={folder / 'profile'}",
            "--dump-dom",
            path.as_uri(),
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    found = re.search(r'<pre id="found">(.*?)</pre>', result.stdout)
    return json.loads(found[1]) if found else {}, console


def test_charts_are_drawn_and_tables_sort(tmp_path):
    plan = synthetic_plan(ratios=(5, 10), folds=2, seeds=1)
    write_synthetic(plan, tmp_path)
    page = sweep_report(plan, collect(plan, tmp_path), tmp_path)
    found, console = visit(page.replace("</body>", PROBE), tmp_path)
    assert console == []
    assert found["places"] == found["drawn"] == 9
    rows = [row.label for row in plan.sweep.rows]
    assert found["given"] == found["ascending"] == rows
    assert found["descending"] == rows[::-1]
    assert found["sort"] == "ascending"
    assert not found["wide"]


def test_a_complaint_would_be_seen(tmp_path):
    _, console = visit("<script>nothing.there()</script>", tmp_path)
    assert len(console) == 1
