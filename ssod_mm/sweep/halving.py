"""Successive halving: rows that fall behind are not trained to the end.

Jamieson and Talwalkar, *Non-stochastic Best Arm Identification and Hyperparameter
Optimization* (AISTATS 2016). Every row trains for a share of its iterations; those with
the best results go on to the next share. A row that is dropped keeps its checkpoint, so
that a later run of the sweep can finish it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ssod_mm.errors import UserError
from ssod_mm.sweep.plan import Plan
from ssod_mm.sweep.results import RunResult


def check_halving(plan: Plan, rungs: Sequence[float], keep: float) -> None:
    """Refuse shares that make no sense, and columns that cannot be compared.

    Args:
        plan: the sweep's trainings.
        rungs: shares of the iterations after which rows are compared.
        keep: share of the rows that goes on.

    Raises:
        UserError: names the option.
    """
    if not rungs:
        return
    if not all(0.0 < share < 1.0 for share in rungs):
        raise UserError("--rungs must be shares of the iterations between 0 and 1")
    if list(rungs) != sorted(set(rungs)):
        raise UserError("--rungs must rise, such as: --rungs 0.25 0.5")
    if not 0.0 < keep < 1.0:
        raise UserError(f"--keep must be a share of the rows in (0, 1), not {keep:g}")
    ratios = sorted({str(run.percent) for run in plan.runs})
    if len(ratios) > 1:
        raise UserError(
            f"--rungs compares rows at one label ratio, not at {', '.join(ratios)}: "
            "choose it with --ratios"
        )


def train_by_halves(
    plan: Plan,
    rungs: Sequence[float],
    keep: float,
    train: Callable[[Plan, Mapping[str, int]], object],
    results: Callable[[Plan], Sequence[RunResult]],
    say: Callable[[str], None],
) -> Plan:
    """Train all rows to the first rung, the better ones on, the last to the end.

    Args:
        plan: the sweep's trainings.
        rungs: rising shares of the iterations of the last phase.
        keep: share of the rows that goes on; the baseline always does and is not
            counted.
        train: trains what a plan lacks; its second argument is the iteration by id
            after whose validation a training stops.
        results: what the runs of a plan have measured.
        say: is told of every rung.

    Returns:
        The plan of the rows that were trained to the end.
    """
    baseline, metric = plan.sweep.baseline, plan.sweep.metric
    for share in rungs:
        train(plan, stops(plan, share))
        scores = row_scores(results(plan), metric, share)
        rows = list(dict.fromkeys(run.row.key for run in plan.runs))
        kept = best_rows(
            {row: scores[row] for row in rows if row != baseline}, keep, baseline
        )
        for line in _rung_lines(share, scores, kept):
            say(line)
        plan = part_of(plan, kept)
    train(plan, {})
    return plan


def stops(plan: Plan, share: float) -> dict[str, int]:
    """Iteration by id at which the last phase of each run has had its share.

    A training that others start from is not stopped.
    """
    last = {run.stages[-1] for run in plan.runs}
    last -= {key for stage in plan.stages.values() for key in stage.teachers}
    return {key: math.ceil(share * plan.stages[key].max_iters) for key in last}


def row_scores(
    results: Sequence[RunResult], metric: str, share: float
) -> dict[str, float | None]:
    """Result of each row in percent at a rung, in the mean over its splits and seeds.

    Args:
        results: of all runs.
        metric: validation result without the model.
        share: of each run's iterations; its first validation from there on counts.

    Returns:
        By key of the row; None where a run has no such validation.
    """
    values: dict[str, list[float | None]] = {}
    for result in results:
        values.setdefault(result.run.row.key, []).append(result.at(metric, share))
    return {
        row: None if None in of_row else sum(of_row) / len(of_row)
        for row, of_row in values.items()
    }


def best_rows(
    scores: Mapping[str, float | None], keep: float, always: str | None = None
) -> list[str]:
    """Rows that go on: the best share, rounded up, and ``always``.

    Args:
        scores: by key of the row; equal ones by their order; rows without one do not
            go on.
        keep: share of the rows.
        always: a row that is not compared.
    """
    ranked = sorted(
        (row for row, score in scores.items() if score is not None),
        key=lambda row: -scores[row],
    )
    chosen = ranked[: math.ceil(keep * len(scores))]
    return [*([always] if always else []), *chosen]


def part_of(plan: Plan, rows: Sequence[str]) -> Plan:
    """The runs of some rows, and the trainings that they need."""
    runs = tuple(run for run in plan.runs if run.row.key in rows)
    needed = {key for run in runs for key in run.stages}
    stages = {key: stage for key, stage in plan.stages.items() if key in needed}
    return replace(plan, stages=stages, runs=runs)


def _rung_lines(
    share: float, scores: Mapping[str, float | None], kept: Sequence[str]
) -> list[str]:
    lines = [f"after {100 * share:g} % of the iterations"]
    for row, score in sorted(scores.items(), key=lambda item: -(item[1] or -1.0)):
        value = "  no result" if score is None else f"{score:11.1f}"
        lines.append(f"{value}  {row}  {'goes on' if row in kept else 'dropped'}")
    return lines
