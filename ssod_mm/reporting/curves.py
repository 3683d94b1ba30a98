"""Curves of a comparison, as one PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from ssod_mm.reporting.scalars import Series


@dataclass(frozen=True)
class Curve:
    """One line of a plot.

    Attributes:
        label: name in the legend.
        points: pairs of x (mostly the iteration) and value; an empty curve is left out.
    """

    label: str
    points: Series


@dataclass(frozen=True)
class Panel:
    """One plot.

    Attributes:
        title: what it shows.
        ylabel: name and unit of the values.
        curves: its lines.
        xlabel: name and unit of what runs along the axis.
    """

    title: str
    ylabel: str
    curves: Sequence[Curve]
    xlabel: str = "iteration"


def averaged(series: Series, num_points: int) -> Series:
    """Means over equally long stretches of a series, for a calmer line.

    Args:
        series: a series of any length; values that are not finite are left out.
        num_points: at most so many remain, each at the last iteration of its stretch.
    """
    known = [(step, value) for step, value in series if math.isfinite(value)]
    size = max(1, math.ceil(len(known) / num_points))
    parts = [known[start : start + size] for start in range(0, len(known), size)]
    return [(part[-1][0], fmean(value for _, value in part)) for part in parts]


def plot_panels(panels: Sequence[Panel], path: str | Path) -> Path:
    """Draw panels side by side; a label has one colour in all of them.

    Args:
        panels: at least one.
        path: PNG file to write; missing folders are created.

    Returns:
        The path.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    labels = dict.fromkeys(curve.label for panel in panels for curve in panel.curves)
    colours = {label: f"C{number}" for number, label in enumerate(labels)}
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.2 * len(panels), 3.8), squeeze=False
    )
    for axis, panel in zip(axes[0], panels, strict=True):
        for number, curve in enumerate(panel.curves):
            if curve.points:
                covers = sum(
                    len({*curve.points} & {*other.points}) >= min(2, len(curve.points))
                    for other in panel.curves[number + 1 :]
                )
                steps, values = zip(*curve.points, strict=True)
                axis.plot(
                    steps,
                    values,
                    marker="o",
                    # A line that later ones cover shows behind them.
                    linewidth=1.5 + 2 * min(3, covers),
                    markersize=3 + 2 * min(3, covers),
                    label=curve.label,
                    color=colours[curve.label],
                )
        axis.set(title=panel.title, xlabel=panel.xlabel, ylabel=panel.ylabel)
        axis.grid(alpha=0.3)
        values = [value for curve in panel.curves for _, value in curve.points]
        if values and min(values) >= 0:
            bottom, top = axis.get_ylim()
            # Zeros alone would otherwise lie in an axis of some hundredths.
            axis.set_ylim(max(0.0, bottom), top if max(values) > 0 else 1.0)
        if axis.get_legend_handles_labels()[0]:
            axis.legend(fontsize=8)
    figure.tight_layout()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
