"""The actions of the sweep command beside training: each gives a text or a file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ssod_mm.errors import UserError
from ssod_mm.reporting import sweep_tables
from ssod_mm.reporting.records import write_atomically
from ssod_mm.reporting.tables import terminal_table
from ssod_mm.sweep.plan import Plan
from ssod_mm.sweep.report import sweep_report
from ssod_mm.sweep.results import collect, result_table
from ssod_mm.sweep.state import StageFolder, other_settings, outdated_folders

FORMATS = {
    "terminal": sweep_tables.terminal,
    "markdown": sweep_tables.markdown,
    "latex": sweep_tables.latex,
    "csv": sweep_tables.as_csv,
}


def outdated_lines(plan: Plan, out: Path) -> list[str]:
    """Name the folders whose config has changed since, and files that are damaged."""
    lines = []
    for folder in outdated_folders(plan, out):
        why = other_settings(folder, plan)
        lines.append(f"changed since, not counted: {folder}{why and f' ({why})'}")
    for stage in plan.stages.values():
        for path in StageFolder(stage, out).damaged_files():
            lines.append(f"cannot be read: {path}; the next run goes on without it")
    return lines


def set_runs_aside(plan: Plan, out: Path, names: Sequence[str]) -> list[str]:
    """Set the results of some runs aside and return a line about each.

    Raises:
        UserError: no such run, or a process trains it.
    """
    if not names:
        raise UserError("rerun needs the names of runs, as status shows them")
    by_name = {stage.name: stage for stage in plan.stages.values()}
    by_name |= {run.name: plan.stages[run.stages[-1]] for run in plan.runs}
    lines = []
    for name in names:
        if name not in by_name:
            raise UserError(f"no run {name}; there are {', '.join(by_name)}")
        kept = StageFolder(by_name[name], out).set_aside()
        lines.append(
            f"{name}: " + (f"old results are in {kept}" if kept else "nothing")
        )
    return lines


def table_text(plan: Plan, out: Path, form: str) -> str:
    """The table of the finished runs.

    Args:
        plan: the sweep's trainings.
        out: output folder of the sweep.
        form: one of ``FORMATS``.
    """
    table = result_table(plan, collect(plan, out))
    text = FORMATS[form](table)
    differences = sweep_tables.difference_rows(table)
    if form == "terminal" and differences:
        text += "\n" + terminal_table(differences, "paired over folds, 95 %")
    return text.rstrip("\n")


def write_report(plan: Plan, out: Path, path: Path | None) -> Path:
    """Write the page, by default ``report.html`` in the sweep's folder."""
    path = path or out / "report.html"
    write_atomically(path, sweep_report(plan, collect(plan, out), out))
    return path
