"""Thresholds and loss weights of each class over a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ssod_mm.errors import UserError
from ssod_mm.reporting.curves import Curve, Panel
from ssod_mm.reporting.scalars import RunScalars, Series

_KEYS = ("class_threshold", "class_weight", "class_count")


@dataclass(frozen=True)
class ClassTrajectory:
    """What ``ClassBalanceLogHook`` logged about one class.

    Attributes:
        name: the class.
        thresholds: (iteration, score threshold) pairs.
        weights: (iteration, loss weight) pairs.
        counts: (iteration, number of detections so far) pairs.
    """

    name: str
    thresholds: Series
    weights: Series
    counts: Series


def class_trajectories(run: RunScalars) -> list[ClassTrajectory]:
    """The classes of a run, beginning with the one that is detected most often.

    Args:
        run: what was logged.

    Raises:
        ValueError: nothing about classes was logged.
    """
    start = f"{_KEYS[0]}/"
    names = [key.removeprefix(start) for key in run.series if key.startswith(start)]
    if not names:
        raise UserError(
            f"the run logged no {start}<name>: its config needs model.class_balance "
            "and default_hooks = dict(class_balance=dict(type='ClassBalanceLogHook'))"
        )
    trajectories = [
        ClassTrajectory(name, *(run.get(f"{key}/{name}") for key in _KEYS))
        for name in names
    ]
    return sorted(trajectories, key=lambda trajectory: -trajectory.counts[-1][1])


def extremes(
    classes: Sequence[ClassTrajectory], num_each: int
) -> list[ClassTrajectory]:
    """The ``num_each`` classes with the most and with the fewest detections."""
    if len(classes) <= 2 * num_each:
        return list(classes)
    return [*classes[:num_each], *classes[len(classes) - num_each :]]


def balance_panels(classes: Sequence[ClassTrajectory]) -> list[Panel]:
    """Thresholds and loss weights over the iterations, a curve for each class."""
    return [
        Panel(
            title,
            label,
            [Curve(trajectory.name, values(trajectory)) for trajectory in classes],
        )
        for title, label, values in (
            ("score threshold", "threshold", lambda trajectory: trajectory.thresholds),
            ("loss weight", "weight", lambda trajectory: trajectory.weights),
        )
    ]


def balance_rows(classes: Sequence[ClassTrajectory]) -> list[list[str]]:
    """Header and cells: detections, and threshold and weight, first -> last."""
    header = ["class", "detections", "threshold", "weight"]
    return [header] + [
        [
            trajectory.name,
            f"{trajectory.counts[-1][1]:.0f}",
            *(
                f"{values[0][1]:.3f} -> {values[-1][1]:.3f}"
                for values in (trajectory.thresholds, trajectory.weights)
            ),
        ]
        for trajectory in classes
    ]
