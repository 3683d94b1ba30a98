"""Train the runs of a sweep and read its table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmengine.logging import MMLogger

from ssod_mm.cli.tool_files import tools_folder
from ssod_mm.sweep.spec import Sweep, load_sweep

if TYPE_CHECKING:
    from ssod_mm.reporting.sweep_tables import SweepTable
    from ssod_mm.sweep.plan import Plan
    from ssod_mm.sweep.results import RunResult


@dataclass(frozen=True)
class SweepResult:
    """What a sweep has measured so far.

    Attributes:
        table: rows, label ratios and differences to the baseline; printing the whole
            result shows it.
        runs: every run with its records.
        states: state of every training by name: "finished", "running", "waiting",
            "interrupted", "failed" or "blocked".
        out: the sweep's folder.
    """

    table: SweepTable
    runs: tuple[RunResult, ...]
    states: dict[str, str]
    out: Path

    def __str__(self) -> str:
        from ssod_mm.reporting.sweep_tables import terminal

        return terminal(self.table)


def sweep(
    name: str | Path,
    *,
    rows: Sequence[str] | None = None,
    ratios: Sequence[float] | None = None,
    folds: Sequence[int] | None = None,
    seeds: Sequence[int] | None = None,
    out: str | Path | None = None,
    train: bool = True,
    gpus: str | None = None,
    gpus_per_run: int = 1,
    runs_per_gpu: int = 1,
    slots: int | None = None,
    retries: int = 2,
    rungs: Sequence[float] = (),
    keep: float = 0.5,
) -> SweepResult:
    """Train what a sweep has not finished, and read its results.

    Every training is a process of its own; a call that was stopped goes on when it is
    repeated, and nothing is trained twice.

    Args:
        name: a sweep file, or its name in ``configs/_sweeps``.
        rows: keys of some of its rows; None for what the file says, as of the others.
        ratios: labelled images in percent.
        folds: numbers of the label splits, from 1.
        seeds: seeds of every split.
        out: folder; by default ``work_dirs/sweeps/<name>``.
        train: False only reads what there is.
        gpus: numbers of the GPUs, such as ``"0,1,2"``; None for all there are.
        gpus_per_run: processes of a training.
        runs_per_gpu: trainings that share a GPU.
        slots: trainings at a time on the CPU, without GPUs.
        retries: starts of a training after one that got nowhere.
        rungs: shares of the iterations after which only the best rows go on, see
            :mod:`ssod_mm.sweep.halving`; none: all rows are trained to the end.
        keep: share of the rows that goes on.

    Returns:
        Table, records and states.

    Raises:
        FileNotFoundError: a sweep, config or data file is missing.
        UserError: a row, config or option does not fit.
        KeyboardInterrupt: it was stopped; its trainings were ended.
    """
    chosen, out = chosen_sweep(name, out, rows, ratios, folds, seeds)
    from ssod_mm.sweep.plan import plan_sweep
    from ssod_mm.sweep.results import collect, result_table
    from ssod_mm.sweep.state import stage_states

    plan = plan_sweep(chosen, check_files=train)
    if train:
        places = (gpus, gpus_per_run, runs_per_gpu, slots)
        train_here(plan, out, *places, retries, rungs, keep)
    results = collect(plan, out)
    states = stage_states(plan, out, retries)
    return SweepResult(
        result_table(plan, results),
        tuple(results),
        {plan.stages[key].name: state for key, state in states.items()},
        out,
    )


def chosen_sweep(
    name: str | Path,
    out: str | Path | None,
    rows: Sequence[str] | None,
    ratios: Sequence[float] | None,
    folds: Sequence[int] | None,
    seeds: Sequence[int] | None,
) -> tuple[Sweep, Path]:
    """A sweep with some of its runs, and its folder; see :func:`sweep`."""
    # Configs are read by the dozen: what they take from options is no news.
    MMLogger.get_instance("sweep", log_level="WARNING")
    chosen = load_sweep(name).select(rows, ratios, folds, seeds)
    return chosen, Path(out or Path("work_dirs", "sweeps", chosen.name)).resolve()


def train_here(
    plan: Plan,
    out: Path,
    gpus: str | None,
    gpus_per_run: int,
    runs_per_gpu: int,
    slots: int | None,
    retries: int,
    rungs: Sequence[float] = (),
    keep: float = 0.5,
) -> dict[str, str]:
    """Train what is not finished on this machine; see :func:`sweep`.

    Returns:
        The state of every training; with ``rungs`` of those that went on to the end
        and of those that failed.

    Raises:
        UserError: ``rungs`` or ``keep`` do not fit.
    """
    from rich.console import Console

    from ssod_mm.sweep.execute import progress, run_until_done, train_commander
    from ssod_mm.sweep.halving import check_halving, train_by_halves
    from ssod_mm.sweep.local import LocalRunner
    from ssod_mm.sweep.results import collect
    from ssod_mm.sweep.slots import gpu_numbers, make_slots
    from ssod_mm.sweep.state import stage_states

    places = make_slots(gpu_numbers(gpus), gpus_per_run, slots, runs_per_gpu)
    commander = train_commander(plan, out, tools_folder())
    check_halving(plan, rungs, keep)
    with progress(Console()) as listener:

        def train(part: Plan, stops: Mapping[str, int]) -> None:
            settings = (part, out, places, commander, listener, retries)
            run_until_done(LocalRunner(*settings, stops=stops))

        def results(part: Plan) -> list[RunResult]:
            return collect(part, out)

        last = train_by_halves(plan, rungs, keep, train, results, listener.event)
    states = stage_states(plan, out, retries)
    failed = ("failed", "blocked")
    return {k: v for k, v in states.items() if k in last.stages or v in failed}
