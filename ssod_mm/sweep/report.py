"""The report of a sweep: which tables, charts, pictures and commands it shows."""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from ssod_mm.reporting.charts import (
    Chart,
    class_chart,
    curve_chart,
    iou_chart,
    quality_chart,
    ratio_chart,
)
from ssod_mm.reporting.page import HtmlCell, Section, html_page
from ssod_mm.reporting.records import RunRecord
from ssod_mm.reporting.scalars import Series
from ssod_mm.reporting.sweep_tables import Cell, SweepTable, ratio_name
from ssod_mm.sweep.plan import Plan
from ssod_mm.sweep.results import RunResult, result_table

OTHER_METRICS = ("coco/bbox_mAP_50", "coco/bbox_mAP_75")
_MAX_PICTURES = 8
# A word that begins so, the value of KEY=VALUE, or an entry of KEY=[VALUE,VALUE].
_ABSOLUTE = re.compile(r"(?:^|(?<=[=\[,]))/[^,\]]*")
_Measured = TypeVar("_Measured")


def sweep_report(plan: Plan, results: Sequence[RunResult], out: Path) -> str:
    """The page of a sweep.

    Args:
        plan: the sweep's trainings.
        results: results of its runs, see ``collect``.
        out: output folder of the sweep.
    """
    table = result_table(plan, results)
    done = sum(result.is_finished for result in results)
    note = f"{done} of {len(results)} runs finished. {time.strftime('%Y-%m-%d %H:%M')}."
    return html_page(
        plan.sweep.title,
        note,
        [
            _results(table),
            _differences(table),
            *_other_metrics(plan, results),
            _curves(plan, results, table),
            _ratios(table),
            _quality(plan, results),
            _classes(plan, results),
            _thresholds(plan, results),
            _costs(plan, results),
            _pictures(plan, results, out),
            _origins(results),
            _commands(plan, out),
        ],
    )


def _other_metrics(plan: Plan, results: Sequence[RunResult]) -> list[Section]:
    """Tables of AP50 and AP75, where they were measured beside the sweep's metric."""
    sections = []
    for metric in OTHER_METRICS:
        if metric != plan.sweep.metric:
            other = replace(plan, sweep=replace(plan.sweep, metric=metric))
            table = result_table(other, results)
            if any(cell.summary for cell in table.cells.values()):
                sections.append(_results(table, table.metric))
    return sections


def _results(table: SweepTable, title: str = "Results") -> Section:
    header = ["method"]
    has_published = any(cell.published is not None for cell in table.cells.values())
    for column in table.columns:
        header.append(ratio_name(column))
        header += [f"{ratio_name(column)}, published"] if has_published else []
    rows = []
    for row, label in table.labels.items():
        cells = [HtmlCell(label, label)]
        for column in table.columns:
            cell = table.cells[row, column]
            cells.append(_measured_cell(cell))
            if has_published:
                source = f"table {cell.published_in}" if cell.published_in else ""
                cells.append(replace(_number_cell(cell.published), detail=source))
        rows.append(cells)
    note = (
        f"{table.metric} in percent: mean and deviation over the folds, gain over the "
        "baseline in brackets. Published numbers are those of the papers."
    )
    return Section(title, note, header, rows)


def _measured_cell(cell: Cell) -> HtmlCell:
    missing = f"{cell.num_missing} missing" if cell.num_missing else ""
    if cell.summary is None:
        return HtmlCell("-", None, missing)
    text = f"{cell.summary.mean:.2f}"
    text += "" if cell.summary.std is None else f" ± {cell.summary.std:.2f}"
    gain = f"({cell.difference.mean:+.2f})" if cell.difference else ""
    detail = " ".join(filter(None, (gain, missing)))
    return HtmlCell(text, cell.summary.mean, detail, cell.is_best)


def _number_cell(value: float | None, form: str = ".2f") -> HtmlCell:
    return HtmlCell("-") if value is None else HtmlCell(f"{value:{form}}", value)


def _differences(table: SweepTable) -> Section:
    rows = []
    for row, label in table.labels.items():
        if row == table.baseline or not table.has_intervals:
            continue
        cells = [HtmlCell(label, label)]
        for column in table.columns:
            change = table.cells[row, column].difference
            if change is None:
                cells.append(HtmlCell("-"))
                continue
            interval = (
                "one fold"
                if change.low is None
                else f"[{change.low:+.2f}, {change.high:+.2f}]"
            )
            cells.append(
                HtmlCell(
                    f"{change.mean:+.2f}", change.mean, interval, change.is_certain
                )
            )
        rows.append(cells)
    name = table.labels.get(table.baseline or "", "")
    note = (
        "Paired over the folds, with the 95 % confidence interval of Student's t; bold "
        "where it leaves zero out."
    )
    header = ["method", *map(ratio_name, table.columns)]
    return Section(f"Difference to {name}", note, header, rows)


def _by_label(
    plan: Plan,
    results: Sequence[RunResult],
    percent: float | None,
    get: Callable[[RunResult], _Measured | None],
) -> dict[str, list[_Measured]]:
    """What the runs at a ratio have, by method.

    All methods are in it, so that the colours of the charts agree.
    """
    by_label: dict[str, list[_Measured]] = {row.label: [] for row in plan.sweep.rows}
    for result in results:
        if result.run.percent == percent and result.record is not None:
            value = get(result)
            if value:
                by_label[result.run.row.label].append(value)
    return by_label


def _each_ratio(plan: Plan, draw: Callable[[float | None], Chart]) -> list[Chart]:
    return [draw(percent) for percent in plan.sweep.ratios]


def _curves(plan: Plan, results: Sequence[RunResult], table: SweepTable) -> Section:
    metric = plan.sweep.metric

    def draw(percent: float | None) -> Chart:
        groups = _by_label(plan, results, percent, lambda result: result.curve(metric))
        return curve_chart(ratio_name(percent), table.metric, groups)

    note = "Mean over the folds, both phases; the band is one deviation."
    charts = _each_ratio(plan, draw)
    return Section(f"{table.metric} over the iterations", note, charts=charts)


def _ratios(table: SweepTable) -> Section:
    several = len([column for column in table.columns if column is not None]) > 1
    charts = [ratio_chart(table)] if several else []
    return Section(f"{table.metric} against the label ratio", charts=charts)


def _quality(plan: Plan, results: Sequence[RunResult]) -> Section:
    def series(key: str) -> Callable[[RunResult], Series]:
        return lambda result: [
            (step, 100 * value) for step, value in result.record.training.get(key, [])
        ]

    def draw(percent: float | None) -> Chart:
        return quality_chart(
            ratio_name(percent),
            _by_label(plan, results, percent, series("pseudo_precision")),
            _by_label(plan, results, percent, series("pseudo_recall")),
        )

    note = "Pseudo labels against the withheld truth at IoU 0.5, over the last phase."
    return Section("Pseudo-label quality", note, charts=_each_ratio(plan, draw))


def _classes(plan: Plan, results: Sequence[RunResult]) -> Section:
    def parts(result: RunResult) -> dict[str, float] | None:
        return result.record.per_class.get(result.model or "")

    def draw(percent: float | None) -> Chart:
        counts = [
            result.record.class_counts
            for result in results
            if result.run.percent == percent and result.record is not None
        ]
        groups = _by_label(plan, results, percent, parts)
        return class_chart(ratio_name(percent), groups, counts)

    return Section(
        "AP of each class against its frequency", charts=_each_ratio(plan, draw)
    )


def _thresholds(plan: Plan, results: Sequence[RunResult]) -> Section:
    known = [
        result.record
        for result in results
        if result.record and result.record.iou_thresholds
    ]
    thresholds = known[0].iou_thresholds if known else []

    def parts(result: RunResult) -> list[float] | None:
        values = result.record.per_iou.get(result.model or "")
        return None if values is None or None in values else values

    def draw(percent: float | None) -> Chart:
        groups = _by_label(plan, results, percent, parts)
        return iou_chart(ratio_name(percent), thresholds, groups)

    return Section("AP at each IoU threshold", charts=_each_ratio(plan, draw))


def _costs(plan: Plan, results: Sequence[RunResult]) -> Section:
    rows = []
    for row in plan.sweep.rows:
        finished = [
            result for result in results if result.run.row == row and result.is_finished
        ]
        if not finished:
            continue
        records: list[RunRecord] = [result.record for result in finished]
        hours = sum(record.wall_time_s for record in records) / len(records) / 3600
        pace = sum(record.wall_time_s for record in records) / sum(
            record.iterations for record in records
        )
        memory = max(record.peak_memory_mb for record in records)
        rows.append(
            [
                HtmlCell(row.label, row.label),
                _number_cell(hours),
                _number_cell(pace, ".3f"),
                _number_cell(memory, ".0f"),
                HtmlCell(", ".join(sorted({record.device for record in records}))),
            ]
        )
    header = ["method", "hours", "s / iteration", "peak memory (MiB)", "device"]
    return Section("Cost of the last phase, mean over its runs", "", header, rows)


def _pictures(plan: Plan, results: Sequence[RunResult], out: Path) -> Section:
    pictures: dict[str, Path] = {}
    for result in results:
        label = f"{result.run.row.label}, {ratio_name(result.run.percent)}"
        folder = out / plan.stages[result.run.stages[-1]].folder / "pseudo_labels"
        drawn = sorted([*folder.glob("*.png"), *folder.glob("*.jpg")])
        if drawn and label not in pictures and len(pictures) < _MAX_PICTURES:
            pictures[label] = drawn[-1]
    return Section("Pseudo labels", "The last drawing of a run.", pictures=pictures)


def _origins(results: Sequence[RunResult]) -> Section:
    rows = []
    for result in results:
        record = result.record
        if record is None:
            continue
        revision = str(record.git.get("revision", ""))[:10]
        changed = " + changes" if record.git.get("changed") else ""
        versions = [
            f"{name} {record.versions[name]}"
            for name in ("ssod_mm", "torch", "onedl-mmdetection")
            if name in record.versions
        ]
        splits = [f"{name} {digest[:10]}" for name, digest in record.splits.items()]
        rows.append(
            [
                HtmlCell(result.run.name, result.run.name),
                HtmlCell(record.config_sha256[:10]),
                HtmlCell(f"{revision}{changed}"),
                HtmlCell(", ".join(splits)),
                HtmlCell(", ".join(versions)),
            ]
        )
    header = ["run", "config", "revision", "annotation files, sha256", "versions"]
    return Section("Where the numbers come from", "", header, rows)


def _commands(plan: Plan, out: Path) -> Section:
    code: dict[str, str] = {}
    here = Path.cwd()
    out = out.relative_to(here) if out.is_relative_to(here) else Path(out.name)
    for run in plan.runs:
        if run.row.label not in code:
            code[run.row.label] = "\n".join(
                f"ssod train {shlex.join(map(_from_here, command))}"
                for command in (
                    plan.command(plan.stages[stage_id], out) for stage_id in run.stages
                )
            )
    note = (
        "The first run of each row; another fold, seed or ratio is an option of it. "
        "Paths are seen from the folder that the report was made in."
    )
    return Section("Commands", note, code=code)


def _from_here(word: str) -> str:
    """A word of a command with its absolute paths as seen from the current folder."""
    return _ABSOLUTE.sub(lambda path: os.path.relpath(path.group()), word)
