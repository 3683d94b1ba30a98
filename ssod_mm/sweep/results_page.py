"""One split's runs side by side: teacher and student, curves, the last drawing.

``results`` are always those of one label split and seed: one run of each row.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from ssod_mm.reporting.curves import Curve, Panel, averaged, plot_panels
from ssod_mm.reporting.records import write_atomically
from ssod_mm.reporting.scalars import Series
from ssod_mm.reporting.tables import (
    ResultRow,
    markdown_table,
    record_rows,
    result_rows,
    terminal_table,
)
from ssod_mm.sweep.local import LocalRunner
from ssod_mm.sweep.plan import Plan
from ssod_mm.sweep.report import sweep_report
from ssod_mm.sweep.results import RunResult, collect

_NUM_POINTS = 40


def comparison_cells(
    results: Sequence[RunResult], baseline: str | None
) -> list[list[str]]:
    """Header and cells: a line for each run, two where teacher and student count.

    Args:
        results: results of the runs.
        baseline: key of the row that gains refer to; its first model counts.
    """
    rows, compared = [], None
    for result in results:
        model_rows = _model_rows(result)
        if result.run.row.key == baseline:
            compared = model_rows[0]
        rows += model_rows
    return result_rows(rows, compared)


def _model_rows(result: RunResult) -> list[ResultRow]:
    """The student above the teacher; dashes for what is not finished."""
    label = result.run.row.label
    rows = record_rows(label, result.record) if result.is_finished else []
    return rows or [ResultRow(label, {})]


def comparison_panels(results: Sequence[RunResult], metric: str) -> list[Panel]:
    """AP, loss and pseudo-label quality, counted from the start of the first phase.

    Args:
        results: results of the runs.
        metric: key of the validation result, without the model.
    """

    def curves(key: str, factor: float = 1.0) -> list[Curve]:
        return [
            Curve(result.run.row.label, _scaled(result.training_curve(key), factor))
            for result in results
        ]

    detection = [
        Curve(result.run.row.label, result.curve(metric)) for result in results
    ]
    panels = [
        Panel("Detection, of the teacher where there is one", "AP (%)", detection),
        Panel("Pseudo labels: precision", "%", curves("pseudo_precision", 100)),
        Panel("Pseudo labels: recall", "%", curves("pseudo_recall", 100)),
        Panel("Training loss", "loss", curves("loss")),
    ]
    return [panel for panel in panels if any(curve.points for curve in panel.curves)]


def _scaled(series: Series, factor: float) -> Series:
    return [(step, factor * value) for step, value in averaged(series, _NUM_POINTS)]


def last_drawing(
    plan: Plan, results: Sequence[RunResult], out: Path, first_choice: str
) -> Path | None:
    """The latest picture of pseudo labels, or None where there is none.

    Args:
        plan: the sweep's trainings.
        results: results of its runs.
        out: output folder of the sweep.
        first_choice: key of the row to take it from; another row's where it drew none.
    """
    ordered = sorted(results, key=lambda result: result.run.row.key != first_choice)
    for result in ordered:
        folder = out / plan.stages[result.run.stages[-1]].folder / "pseudo_labels"
        pictures = sorted(folder.glob("*.png"))
        if pictures:
            return pictures[-1]
    return None


def training_minutes(results: Sequence[RunResult]) -> float:
    """Minutes of all trainings together, shared first phases once."""
    seconds = {
        stage: record.wall_time_s
        for result in results
        for stage, record in zip(result.run.stages, result.records, strict=True)
        if record is not None
    }
    return sum(seconds.values()) / 60


def comparison_page(
    title: str, cells: Sequence[Sequence[str]], notes: Sequence[str], files: Path
) -> str:
    """The comparison in Markdown.

    Args:
        title: heading.
        cells: cells as ``comparison_cells`` gives them.
        notes: paragraphs below the table.
        files: folder of ``curves.png``, ``pseudo_labels.png`` and ``report.html``;
            what is not there is not named.
    """
    parts = [f"# {title}", markdown_table(cells), *notes]
    for name in ("curves", "pseudo_labels"):
        if (files / f"{name}.png").is_file():
            parts.append(f"![{name.replace('_', ' ')}]({name}.png)")
    if (files / "report.html").is_file():
        parts.append("[The report with all charts](report.html)")
    return "\n\n".join(parts) + "\n"


def early_table(
    plan: Plan, out: Path, keys: Collection[str]
) -> Callable[[LocalRunner], str | None]:
    """Table of some rows, given once, as soon as these are finished and others not.

    Args:
        plan: the sweep's trainings.
        out: output folder of the sweep.
        keys: keys of the rows. There is no early table unless the sweep has all of
            them, and others too.
    """
    wanted = {run.stages[-1] for run in plan.runs if run.row.key in keys}
    told = len(wanted) < len(keys) or len(wanted) == len(plan.runs)

    def look(runner: LocalRunner) -> str | None:
        nonlocal told
        if told or not runner.finished.issuperset(wanted):
            return None
        told = True
        results = [
            result for result in collect(plan, out) if result.run.row.key in keys
        ]
        cells = comparison_cells(results, plan.sweep.baseline)
        return "the first results\n" + terminal_table(cells, plan.sweep.title)

    return look


def write_comparison(plan: Plan, out: Path, minutes: float, drawn: str) -> str:
    """Write ``results.md``, its pictures and ``report.html`` into a sweep's folder.

    Args:
        plan: the sweep's trainings.
        out: output folder of the sweep.
        minutes: minutes that the command took.
        drawn: key of the row whose pseudo labels are shown.

    Returns:
        The table for the terminal.
    """
    results = collect(plan, out)
    cells = comparison_cells(results, plan.sweep.baseline)
    for name in ("curves.png", "pseudo_labels.png", "report.html"):
        (out / name).unlink(missing_ok=True)
    panels = comparison_panels(results, plan.sweep.metric)
    if panels:
        plot_panels(panels, out / "curves.png")
    drawing = last_drawing(plan, results, out, drawn)
    if drawing:
        shutil.copy(drawing, out / "pseudo_labels.png")
    notes = [
        f"Seed {plan.sweep.seeds[0]}. This command took {minutes:.1f} minutes, all "
        f"trainings together {training_minutes(results):.1f}."
    ]
    try:
        write_atomically(out / "report.html", sweep_report(plan, results, out))
    except ModuleNotFoundError as error:
        notes.append(f"No report: {error}.")
    page = comparison_page(plan.sweep.title, cells, notes, out)
    write_atomically(out / "results.md", page)
    return terminal_table(cells, plan.sweep.title)
