"""Tables of detection results for the terminal and for Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from terminaltables import AsciiTable

from ssod_mm.reporting.records import RunRecord

METRICS = {"AP": "bbox_mAP", "AP50": "bbox_mAP_50", "AP75": "bbox_mAP_75"}


@dataclass(frozen=True)
class ResultRow:
    """One model's result.

    Attributes:
        name: what the reader sees.
        values: AP, AP50 and AP75 in percent, or None where not measured.
    """

    name: str
    values: dict[str, float | None]


def result_rows(
    rows: Sequence[ResultRow], baseline: ResultRow | None = None
) -> list[list[str]]:
    """Header and cells: AP, AP50, AP75 and the gain in AP over a baseline.

    Args:
        rows: the results.
        baseline: the row that gains refer to; its gain is empty. None for a table
            without gains.

    Returns:
        Text cells; values that were not measured are a dash.
    """
    cells = [["", *METRICS, *([] if baseline is None else ["gain (AP)"])]]
    for row in rows:
        line = [row.name, *(_cell(row.values.get(m)) for m in METRICS)]
        if baseline is not None:
            line.append("" if row is baseline else _gain(row, baseline))
        cells.append(line)
    return cells


def record_rows(label: str, record: RunRecord) -> list[ResultRow]:
    """Final AP of a run's models in percent, the student above the teacher.

    Args:
        label: name of the run.
        record: of a finished run.
    """
    rows = []
    for model in record.models[::-1]:
        finals = {
            name: record.final(f"coco/{key}", model) for name, key in METRICS.items()
        }
        values = {k: None if v is None else 100 * v for k, v in finals.items()}
        rows.append(ResultRow(f"{label}: {model}" if model else label, values))
    return rows


def terminal_table(cells: Sequence[Sequence[str]], title: str) -> str:
    """The cells as a terminal table with numbers to the right."""
    table = AsciiTable([list(row) for row in cells], title)
    for column in range(1, len(cells[0])):
        table.justify_columns[column] = "right"
    return table.table


def markdown_table(cells: Sequence[Sequence[str]]) -> str:
    """The cells as a Markdown table with numbers to the right."""
    header, *body = [[_markdown_text(cell) for cell in row] for row in cells]
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [header, rule, *body])


def _markdown_text(text: str) -> str:
    """A cell that neither ends its column nor becomes HTML."""
    text = " ".join(text.split()) if "\n" in text else text
    return text.replace("|", "\\|").replace("<", "&lt;")


def _gain(row: ResultRow, baseline: ResultRow) -> str:
    ours, theirs = row.values.get("AP"), baseline.values.get("AP")
    return "-" if ours is None or theirs is None else f"{ours - theirs:+.1f}"


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
