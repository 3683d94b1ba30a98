"""Runs side by side at each IoU threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ssod_mm.errors import UserError
from ssod_mm.reporting.curves import Curve, Panel


@dataclass(frozen=True)
class IouCurve:
    """One run's values at the thresholds.

    Attributes:
        name: what the reader sees.
        values: one per threshold, in [0, 1]; NaN where there is nothing to measure.
    """

    name: str
    values: Sequence[float]


def iou_rows(
    thresholds: Sequence[float], curves: Sequence[IouCurve], mean: bool = False
) -> list[list[str]]:
    """Header and cells in percent, a row for each run.

    Args:
        thresholds: IoU thresholds of the columns.
        curves: the runs.
        mean: whether the mean over the thresholds comes first.

    Returns:
        Text cells; NaN is a dash.

    Raises:
        ValueError: a run with another number of values.
    """
    header = ["IoU", *(["mean"] if mean else []), *(f"{t:.2f}" for t in thresholds)]
    rows = [header]
    for curve in curves:
        if len(curve.values) != len(thresholds):
            raise UserError(
                f"{curve.name} has {len(curve.values)} values for {len(thresholds)} "
                "thresholds"
            )
        average = [sum(curve.values) / len(curve.values)] if mean else []
        rows.append([curve.name, *map(_percent, [*average, *curve.values])])
    return rows


def iou_panel(
    title: str, ylabel: str, thresholds: Sequence[float], curves: Sequence[IouCurve]
) -> Panel:
    """A plot of the runs over the thresholds, in percent.

    Args:
        title: title of the plot.
        ylabel: name of the values.
        thresholds: IoU thresholds.
        curves: the runs; NaN is left out.

    Returns:
        The panel.
    """
    return Panel(
        title,
        f"{ylabel} (%)",
        [
            Curve(
                curve.name,
                [
                    (threshold, 100 * value)
                    for threshold, value in zip(thresholds, curve.values, strict=True)
                    if not math.isnan(value)
                ],
            )
            for curve in curves
        ],
        xlabel="IoU threshold",
    )


def rare_rows(
    names: Sequence[str], overall: Sequence[float], rare: Sequence[float]
) -> list[list[str]]:
    """Header and cells: AP of all and of the rare classes, in percent.

    Args:
        names: names of the runs.
        overall: AP of all classes, in [0, 1].
        rare: AP of the rare ones.

    Returns:
        Text cells; NaN is a dash.
    """
    return [["", "AP", "AP rare"]] + [
        [name, _percent(mean_all), _percent(mean_rare)]
        for name, mean_all, mean_rare in zip(names, overall, rare, strict=True)
    ]


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.1f}"
