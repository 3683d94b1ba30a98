"""The table of a sweep: rows are methods, columns are label ratios."""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from ssod_mm.reporting.statistics import (
    Difference,
    Summary,
    paired_difference,
    summarise,
)
from ssod_mm.reporting.tables import markdown_table, terminal_table

Splits = dict[int, float]
"""Value by fold; several seeds of a fold are averaged."""


@dataclass(frozen=True)
class Measurement:
    """The result of one run.

    Attributes:
        row: key of the method.
        column: label ratio in percent; None where there is none.
        fold: number of the label split.
        value: in percent.
    """

    row: str
    column: float | None
    fold: int
    value: float


@dataclass(frozen=True)
class Cell:
    """One method at one ratio.

    Attributes:
        summary: over the folds; None where nothing was measured.
        difference: against the baseline on the folds that both have; None for the
            baseline itself.
        published: the number of the paper, in percent.
        published_in: the paper's table that has it, or "".
        is_best: whether its mean is the column's highest.
        num_missing: runs of the cell without a result.
        splits: value by fold.
    """

    summary: Summary | None = None
    difference: Difference | None = None
    published: float | None = None
    published_in: str = ""
    is_best: bool = False
    num_missing: int = 0
    splits: Splits = field(default_factory=dict)


@dataclass(frozen=True)
class SweepTable:
    """What the renderers show.

    Attributes:
        title: heading.
        labels: name of each row, by key.
        columns: ratios in order.
        cells: by row key and column.
        baseline: key of the row that differences refer to.
        metric: name of the values.
    """

    title: str
    labels: dict[str, str]
    columns: tuple[float | None, ...]
    cells: dict[tuple[str, float | None], Cell]
    baseline: str | None = None
    metric: str = "AP"

    @property
    def has_intervals(self) -> bool:
        """Whether a difference to the baseline has a confidence interval."""
        changes = [cell.difference for cell in self.cells.values()]
        return any(change is not None and change.low is not None for change in changes)


def sweep_table(
    title: str,
    labels: Mapping[str, str],
    columns: Sequence[float | None],
    measurements: Iterable[Measurement],
    *,
    baseline: str | None = None,
    published: Mapping[tuple[str, float | None], float] | None = None,
    published_in: Mapping[tuple[str, float | None], str] | None = None,
    num_planned: Mapping[tuple[str, float | None], int] | None = None,
    metric: str = "AP",
) -> SweepTable:
    """Gather measurements into a table.

    Args:
        title: heading.
        labels: name of each row, by key, in order.
        columns: ratios in order.
        measurements: results of the runs.
        baseline: key of the row to compare with.
        published: numbers of papers, in percent; they never enter a mean.
        published_in: the papers' tables that have them.
        num_planned: planned runs of each cell; missing ones are marked.
        metric: name of the values.
    """
    gathered: dict[tuple[str, float | None], dict[int, list[float]]] = defaultdict(
        lambda: defaultdict(list)
    )
    for result in measurements:
        gathered[result.row, result.column][result.fold].append(result.value)
    cells = {}
    for column in columns:
        splits = {
            row: {fold: fmean(values) for fold, values in gathered[row, column].items()}
            for row in labels
        }
        means = {row: summarise([*by_fold.values()]) for row, by_fold in splits.items()}
        best = max(
            (summary.mean for summary in means.values() if summary), default=None
        )
        for row in labels:
            place = row, column
            count = sum(map(len, gathered[place].values()))
            compared = baseline is not None and row != baseline
            cells[place] = Cell(
                summary=means[row],
                difference=(
                    paired_difference(splits[row], splits[baseline])
                    if compared
                    else None
                ),
                published=(published or {}).get(place),
                published_in=(published_in or {}).get(place, ""),
                is_best=means[row] is not None and means[row].mean == best,
                num_missing=max(0, (num_planned or {}).get(place, 0) - count),
                splits=splits[row],
            )
    return SweepTable(title, dict(labels), tuple(columns), cells, baseline, metric)


@dataclass(frozen=True)
class _Style:
    """How a renderer writes numbers."""

    plus_minus: str
    bold: Callable[[str], str]
    missing: str = "-"
    note: str = " [{} missing]"


_PLAIN = _Style(" ± ", lambda text: f"{text} *")
_MARKDOWN = _Style(" ± ", lambda text: f"**{text}**")
_LATEX = _Style(r" \pm ", lambda text: rf"\mathbf{{{text}}}", "--", r"^{{-{}}}")


def terminal(table: SweepTable) -> str:
    """For the terminal; the best of a column has a star."""
    return terminal_table(_text_cells(table, _PLAIN), table.title)


def markdown(table: SweepTable) -> str:
    """For Markdown; the best of a column is bold."""
    return markdown_table(_text_cells(table, _MARKDOWN)) + "\n"


def latex(table: SweepTable) -> str:
    """For LaTeX with booktabs; an exponent of -n says that n runs are missing."""
    has_published = _has_published(table)
    lines = [
        rf"\begin{{tabular}}{{l{'c' * (len(table.columns) * (1 + has_published))}}}",
        r"\toprule",
        " & ".join(_latex_text(text) for text in _header(table)) + r" \\",
        r"\midrule",
    ]
    for row, label in table.labels.items():
        words = [_latex_text(label)]
        for column in table.columns:
            cell = table.cells[row, column]
            text = _value(cell, _LATEX)
            gain = _gain(cell)
            gain = rf"\,{{\scriptstyle ({gain})}}" if gain else ""
            words.append(f"${text}{gain}$" if cell.summary else text)
            if has_published:
                words.append(_latex_text(_published(cell, "--")))
        lines.append(" & ".join(words) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def spreadsheet_text(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def as_csv(table: SweepTable) -> str:
    """One line for each cell, unrounded."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    header = "row,label,percent,mean,std,folds,missing"
    header += ",gain,gain_low,gain_high,published,published_in"
    writer.writerow(header.split(","))
    for (row, column), cell in table.cells.items():
        summary = cell.summary or Summary(float("nan"), None, 0)
        change = cell.difference or Difference(float("nan"), None, None, 0)
        writer.writerow(
            [
                spreadsheet_text(row),
                spreadsheet_text(table.labels[row]),
                "" if column is None else f"{column:g}",
                *map(_raw, (summary.mean, summary.std)),
                summary.num,
                cell.num_missing,
                *map(_raw, (change.mean, change.low, change.high, cell.published)),
                spreadsheet_text(cell.published_in),
            ]
        )
    return sink.getvalue()


def difference_rows(table: SweepTable) -> list[list[str]]:
    """Header and cells: each row against the baseline, with 95 % intervals.

    The list is empty where no row has two folds in common with the baseline; the gains
    then stand in the first table alone.
    """
    if table.baseline is None or not table.has_intervals:
        return []
    name = table.labels[table.baseline]
    rows = [[f"{table.metric} against {name}", *map(ratio_name, table.columns)]]
    for row, label in table.labels.items():
        if row != table.baseline:
            cells = [table.cells[row, column] for column in table.columns]
            rows.append([label, *(_interval(cell.difference) for cell in cells)])
    return rows


def ratio_name(percent: float | None) -> str:
    """A column's name."""
    return "all labels" if percent is None else f"{percent:g} %"


def _has_published(table: SweepTable) -> bool:
    return any(cell.published is not None for cell in table.cells.values())


def _header(table: SweepTable) -> list[str]:
    header = [table.metric]
    for column in table.columns:
        header.append(ratio_name(column))
        if _has_published(table):
            header.append(f"{ratio_name(column)}, published")
    return header


def _text_cells(table: SweepTable, style: _Style) -> list[list[str]]:
    rows = [_header(table)]
    for row, label in table.labels.items():
        words = [label]
        for column in table.columns:
            cell = table.cells[row, column]
            gain = _gain(cell)
            words.append(_value(cell, style) + (f" ({gain})" if gain else ""))
            if _has_published(table):
                words.append(_published(cell, style.missing))
        rows.append(words)
    return rows


def _value(cell: Cell, style: _Style) -> str:
    if cell.summary is None:
        return style.missing
    text = f"{cell.summary.mean:.2f}"
    if cell.summary.std is not None:
        text += f"{style.plus_minus}{cell.summary.std:.2f}"
    text = style.bold(text) if cell.is_best else text
    return text + style.note.format(cell.num_missing) if cell.num_missing else text


def _gain(cell: Cell) -> str:
    return "" if cell.difference is None else f"{cell.difference.mean:+.2f}"


def _published(cell: Cell, missing: str) -> str:
    if cell.published is None:
        return missing
    source = f" (table {cell.published_in})" if cell.published_in else ""
    return f"{cell.published:.2f}{source}"


def _interval(change: Difference | None) -> str:
    if change is None:
        return "-"
    if change.low is None:
        return f"{change.mean:+.2f} (one fold)"
    return f"{change.mean:+.2f} [{change.low:+.2f}, {change.high:+.2f}]"


def _latex_text(text: str) -> str:
    words = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}
    words |= {sign: f"\\{sign}" for sign in "&%$#_{}"}
    return "".join(words.get(sign, sign) for sign in " ".join(text.split()))


def _raw(value: float | None) -> str:
    return "" if value is None or value != value else f"{value:.6g}"
