"""Clouds of points side by side, and the table of their correlations."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Cloud:
    """One scatter plot.

    Attributes:
        title: what stands above it.
        xlabel: name of the horizontal values.
        ylabel: name of the vertical values.
        x: the horizontal values.
        y: the vertical values, as many.
    """

    title: str
    xlabel: str
    ylabel: str
    x: Sequence[float]
    y: Sequence[float]


def plot_clouds(clouds: Sequence[Cloud], path: str | Path) -> Path:
    """Draw scatter plots side by side.

    Args:
        clouds: at least one.
        path: PNG file to write; missing folders are created.

    Returns:
        The path.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(
        1, len(clouds), figsize=(4.2 * len(clouds), 3.8), squeeze=False, sharey=True
    )
    for axis, cloud in zip(axes[0], clouds, strict=True):
        crowded = max(len(cloud.x), 1)
        axis.scatter(
            cloud.x, cloud.y, s=6, alpha=min(1.0, 200 / crowded + 0.05), linewidths=0
        )
        axis.set(title=cloud.title, xlabel=cloud.xlabel, ylabel=cloud.ylabel)
        axis.set_ylim(-0.02, 1.02)
        axis.grid(alpha=0.3)
    figure.tight_layout()
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def correlation_rows(
    correlations: Mapping[float, tuple[int, Mapping[str, tuple[float, float]]]],
) -> list[list[str]]:
    """Header and cells: how each measure correlates with the IoU.

    Args:
        correlations: per score threshold the number of boxes, and for each measure
            Pearson's and Spearman's correlation.

    Returns:
        Text cells; a correlation that does not exist is a dash.
    """
    cells = [["", "boxes", "measure", "Pearson", "Spearman"]]
    for score_thr, (num_boxes, measures) in correlations.items():
        for name, values in measures.items():
            numbers = ["-" if math.isnan(value) else f"{value:.3f}" for value in values]
            cells.append([f"p >= {score_thr:g}", str(num_boxes), name, *numbers])
    return cells
