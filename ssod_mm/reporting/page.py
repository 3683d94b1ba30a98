"""One HTML page that needs nothing beside it: tables, charts, pictures, commands."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment

from ssod_mm.errors import UserError
from ssod_mm.reporting.charts import Chart

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: white;
  max-width: 1180px; margin: 0 auto; padding: 24px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 34px 0 8px; }
.note { color: #555; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 12px; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
thead th { border-bottom: 2px solid #333; }
thead button { font: inherit; font-weight: 600; background: none; border: 0; padding: 0;
  cursor: pointer; color: inherit; }
th[aria-sort=ascending] button::after { content: " \\25B2"; }
th[aria-sort=descending] button::after { content: " \\25BC"; }
td.best { font-weight: 700; }
td small { color: #555; font-weight: 400; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(480px, 1fr));
  gap: 18px; }
.chart { height: 400px; min-width: 0; }
figure { margin: 0 0 18px; } figure img { max-width: 100%; }
pre { background: #f5f5f5; padding: 10px; overflow-x: auto; font-size: 12px;
  white-space: pre-wrap; overflow-wrap: anywhere; }
@media print {
  body { max-width: none; padding: 0; font-size: 11px; }
  .charts { display: block; } .scroll { overflow: visible; }
  .chart, figure, table { break-inside: avoid; } h2, .note { break-after: avoid; }
  figure img { max-height: 23cm; }
  .modebar { display: none !important; }
}
"""

_SCRIPT = """
const charts = JSON.parse(document.getElementById("charts").textContent);
const settings = {responsive: true, displaylogo: false};
window.chartsDrawn = Promise.all(Object.entries(charts).map(([id, chart]) =>
  Plotly.newPlot(id, chart.data, chart.layout, settings)));
// The page still has the screen's layout when this comes: a width that fits paper.
const relayout = change => document.querySelectorAll(".chart").forEach(
  one => Plotly.relayout(one, change));
window.addEventListener("beforeprint", () => relayout({autosize: false, width: 660}));
window.addEventListener("afterprint", () => relayout({autosize: true, width: null}));
document.querySelectorAll("table").forEach(table => {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").onclick = () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    heads.forEach(one => one.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const value = row => row.cells[column].dataset.value ?? "";
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === "" || y === "") return (x === "") - (y === "");
      const [m, n] = [Number(x), Number(y)];
      const order = isNaN(m) || isNaN(n) ? x.localeCompare(y) : m - n;
      return down ? -order : order;
    };
    [...body.rows].sort(compare).forEach(row => body.append(row));
  });
});
"""


_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{{ title }}</title>
<style>{{ style | safe }}</style>
<script>{{ plotly | safe }}</script>
</head>
<body>
<h1>{{ title }}</h1>
<p class="note">{{ note }}</p>
{% for section in sections %}
<section>
<h2>{{ section.title }}</h2>
{% if section.note %}
<p class="note">{{ section.note }}</p>
{% endif %}
{% if section.rows %}
<div class="scroll"><table><thead><tr>
{% for heading in section.header %}
<th scope="col"><button type="button">{{ heading }}</button></th>
{% endfor %}
</tr></thead><tbody>
{% for row in section.rows %}
<tr>
{% for cell in row %}
<td{% if cell.is_best %} class="best"{% endif %}
 data-value="{{ "" if cell.value is none else cell.value }}">{{ cell.text }}
{%- if cell.detail %} <small>{{ cell.detail }}</small>{% endif %}</td>
{% endfor %}
</tr>
{% endfor %}
</tbody></table></div>
{% endif %}
{% if section.drawn %}
<div class="charts">
{% for chart in section.drawn %}
<div class="chart" id="{{ charts.add(chart) }}"></div>
{% endfor %}
</div>
{% endif %}
{% for caption, path in section.pictures.items() %}
<figure><img alt="{{ caption }}" src="{{ path | embedded }}">
<figcaption>{{ caption }}</figcaption></figure>
{% endfor %}
{% for caption, text in section.code.items() %}
<p>{{ caption }}</p><pre>{{ text }}</pre>
{% endfor %}
</section>
{% endfor %}
<script type="application/json" id="charts">{{ charts.by_id | tojson }}</script>
<script>{{ script | safe }}</script>
</body>
</html>
"""


@dataclass(frozen=True)
class HtmlCell:
    """One cell of a table.

    Attributes:
        text: what the reader sees.
        value: what the column is sorted by; None comes last.
        detail: smaller text after it.
        is_best: whether the cell stands out.
    """

    text: str
    value: float | str | None = None
    detail: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Section:
    """A part of the page.

    Attributes:
        title: heading.
        note: a sentence below it.
        header: header of the table.
        rows: rows of the table; without rows there is no table.
        charts: drawn two in a line; those without data are left out.
        pictures: image files by caption; they are copied into the page.
        code: lines to be copied, by caption.
    """

    title: str
    note: str = ""
    header: Sequence[str] = ()
    rows: Sequence[Sequence[HtmlCell]] = ()
    charts: Sequence[Chart] = ()
    pictures: Mapping[str, Path] = field(default_factory=dict)
    code: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing to show."""
        return not (self.rows or self.drawn or self.pictures or self.code)

    @property
    def drawn(self) -> list[Chart]:
        """The charts with data."""
        return [chart for chart in self.charts if chart["data"]]


class _Charts:
    """The charts of a page, each with its id."""

    def __init__(self) -> None:
        self.by_id: dict[str, Chart] = {}

    def add(self, chart: Chart) -> str:
        """Take a chart and return its id."""
        name = f"chart{len(self.by_id)}"
        self.by_id[name] = chart
        return name


def html_page(title: str, note: str, sections: Sequence[Section]) -> str:
    """The page. Every text is escaped, in the HTML and in the script's data.

    Args:
        title: heading.
        note: a sentence below it.
        sections: in order; empty ones are left out.

    Raises:
        UserError: plotly is not installed.
    """
    plotly = plotly_source()
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["embedded"] = _embedded
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
    return environment.from_string(_PAGE).render(
        title=title,
        note=note,
        sections=[section for section in sections if not section.is_empty],
        charts=_Charts(),
        style=_STYLE,
        script=_SCRIPT,
        plotly=plotly,
    )


def plotly_source() -> str:
    """The chart library's JavaScript.

    Raises:
        UserError: plotly is not installed.
    """
    try:
        from plotly.offline import get_plotlyjs
    except ModuleNotFoundError as error:
        raise UserError(
            "the report's charts need plotly: pip install 'ssod_mm[report]'"
        ) from error
    return get_plotlyjs()


def _embedded(path: Path) -> str:
    kind = "jpeg" if path.suffix.lower() in (".jpg", ".jpeg") else "png"
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
