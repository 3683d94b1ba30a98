"""Charts of a sweep as plain data for plotly.js: its traces and its layout."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ssod_mm.reporting.scalars import Series
from ssod_mm.reporting.statistics import summarise
from ssod_mm.reporting.sweep_tables import SweepTable

# Okabe and Ito's colours, which colour-blind readers can tell apart.
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#999933",
)
# Rows beyond the last colour begin anew with the next of these.
SYMBOLS = ("circle", "square", "diamond", "triangle-up")
DASHES = {"solid": ("solid", "dot"), "dash": ("dash", "dashdot")}
_MAX_POINTS = 250
Chart = dict[str, Any]


def marker_style(number: int) -> Chart:
    """Colour and symbol of a row by its number; the first 32 all differ."""
    again, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "symbol": SYMBOLS[again % len(SYMBOLS)]}


def line_style(number: int, dash: str = "solid") -> Chart:
    """Colour and dash of a row by its number; the first 16 all differ."""
    again, colour = divmod(number, len(COLOURS))
    return {"color": COLOURS[colour], "dash": DASHES[dash][again % 2]}


def band(runs: Sequence[Series]) -> tuple[list[int], list[float], list[float]]:
    """Mean and deviation of several runs over the iterations that all of them have.

    Args:
        runs: (iteration, value) pairs of each; values that are not finite are left
            out.

    Returns:
        Iterations, means, deviations (0 for a single run); at most 250, evenly spaced.
    """
    by_step: dict[int, list[float]] = defaultdict(list)
    known = [[(s, v) for s, v in run if math.isfinite(v)] for run in runs]
    known = [run for run in known if run]
    for run in known:
        for step, value in run:
            by_step[step].append(value)
    steps = sorted(
        step for step, values in by_step.items() if len(values) == len(known)
    )
    if len(steps) > _MAX_POINTS:
        stride = math.ceil(len(steps) / _MAX_POINTS)
        steps = [*steps[:-1:stride], steps[-1]]
    summaries = [summarise(by_step[step]) for step in steps]
    means = [round(summary.mean, 4) for summary in summaries]
    return steps, means, [round(summary.std or 0.0, 4) for summary in summaries]


def curve_chart(
    title: str, ylabel: str, groups: Mapping[str, Sequence[Series]]
) -> Chart:
    """Values over the iterations: a line for each method, a band over its folds."""
    data: list[Chart] = []
    for number, (label, runs) in enumerate(groups.items()):
        data += _banded(label, runs, number)
    return _chart(title, "iteration", ylabel, data)


def quality_chart(
    title: str,
    precisions: Mapping[str, Sequence[Series]],
    recalls: Mapping[str, Sequence[Series]],
) -> Chart:
    """Precision (solid) and recall (dashed) of the pseudo labels, in percent."""
    data: list[Chart] = []
    for number, label in enumerate(precisions):
        data += _banded(f"{label}: precision", precisions[label], number)
        data += _banded(f"{label}: recall", recalls.get(label, []), number, "dash")
    return _chart(title, "iteration", "%", data)


def ratio_chart(table: SweepTable) -> Chart:
    """The table's means over the label ratios, deviations as error bars."""
    data = []
    columns = [column for column in table.columns if column is not None]
    for number, (row, label) in enumerate(table.labels.items()):
        cells = [(x, table.cells[row, x].summary) for x in columns]
        cells = [(x, summary) for x, summary in cells if summary is not None]
        if not cells:
            continue
        data.append(
            {
                "name": label,
                "x": [x for x, _ in cells],
                "y": [round(summary.mean, 4) for _, summary in cells],
                "error_y": {
                    "type": "data",
                    "array": [round(summary.std or 0.0, 4) for _, summary in cells],
                },
                "mode": "lines+markers",
                "line": line_style(number),
                "marker": marker_style(number),
            }
        )
    chart = _chart(f"{table.metric} against labels", "labels (%)", table.metric, data)
    chart["layout"]["xaxis"] |= {
        "type": "log",
        "tickvals": columns,
        "ticktext": [f"{column:g}" for column in columns],
    }
    return chart


def class_chart(
    title: str,
    groups: Mapping[str, Sequence[Mapping[str, float | None]]],
    counts: Sequence[Mapping[str, int]],
) -> Chart:
    """AP of each class against the number of its labelled boxes, means over folds.

    Args:
        title: title of the chart.
        groups: by method, AP in [0, 1] of each class in every run.
        counts: labelled boxes of each class in every split.
    """
    frequency = {
        name: fmean(split_counts.get(name, 0) for split_counts in counts)
        for name in dict.fromkeys(
            name for split_counts in counts for name in split_counts
        )
    }
    data = []
    for number, (label, runs) in enumerate(groups.items()):
        by_class = defaultdict(list)
        for run in runs:
            for name, value in run.items():
                if value is not None and name in frequency:
                    by_class[name].append(100 * value)
        names = sorted(by_class, key=frequency.get)
        if names:
            data.append(
                {
                    "name": label,
                    "x": [round(frequency[name], 1) for name in names],
                    "y": [round(fmean(by_class[name]), 3) for name in names],
                    "text": names,
                    "mode": "markers",
                    "marker": {**marker_style(number), "size": 8},
                    "hovertemplate": "%{text}: %{y:.1f} (%{x} boxes)",
                }
            )
    chart = _chart(title, "labelled boxes of the class", "AP", data)
    ticks = [digit * 10**power for power in range(7) for digit in (1, 2, 5)]
    chart["layout"]["xaxis"] |= {
        "type": "log",
        "tickvals": ticks,
        "ticktext": [f"{tick:,}" for tick in ticks],
    }
    chart["layout"]["hovermode"] = "closest"
    return chart


def iou_chart(
    title: str,
    thresholds: Sequence[float],
    groups: Mapping[str, Sequence[Sequence[float]]],
) -> Chart:
    """AP at each IoU threshold, means over folds.

    Args:
        title: title of the chart.
        thresholds: the thresholds.
        groups: by method, AP in [0, 1] at each threshold in every run.
    """
    data = []
    for number, (label, runs) in enumerate(groups.items()):
        complete = [run for run in runs if len(run) == len(thresholds)]
        if complete:
            columns = zip(*complete, strict=True)
            means = [round(100 * fmean(column), 3) for column in columns]
            data.append(
                {
                    "name": label,
                    "x": list(thresholds),
                    "y": means,
                    "mode": "lines+markers",
                    "line": line_style(number),
                    "marker": marker_style(number),
                }
            )
    return _chart(title, "IoU threshold", "AP", data)


def _banded(
    label: str, runs: Sequence[Series], number: int, dash: str = "solid"
) -> list[Chart]:
    steps, means, spreads = band(runs)
    if not steps:
        return []
    line = {
        "name": label,
        "legendgroup": label,
        "x": steps,
        "y": means,
        "mode": "lines+markers" if len(steps) < 30 else "lines",
        "line": line_style(number, dash),
        "marker": marker_style(number),
    }
    if not any(spreads):
        return [line]
    pairs = list(zip(means, spreads, strict=True))
    edge = [round(mean + spread, 4) for mean, spread in pairs]
    edge += [round(mean - spread, 4) for mean, spread in reversed(pairs)]
    around = {
        "legendgroup": label,
        "x": [*steps, *reversed(steps)],
        "y": edge,
        "fill": "toself",
        "fillcolor": marker_style(number)["color"],
        "opacity": 0.18,
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
    }
    return [around, line]


def with_visible_overlaps(data: Sequence[Chart]) -> list[Chart]:
    """Traces in which a line that later ones cover is wider than they are.

    Args:
        data: traces in the order of drawing.

    Returns:
        The same traces; a line that shares two points with later lines (its only point,
        where it has one) gets 3 px more for each of them, up to 9.
    """
    points = [
        set(zip(trace["x"], trace["y"], strict=True)) if _is_line(trace) else set()
        for trace in data
    ]
    wider = []
    for number, trace in enumerate(data):
        trace_points = points[number]
        enough = min(2, len(trace_points))
        covers = sum(
            bool(trace_points) and len(trace_points & p) >= enough
            for p in points[number + 1 :]
        )
        if covers:
            trace = {
                **trace,
                "line": {**trace["line"], "width": 2 + 3 * min(3, covers)},
            }
            trace["marker"] = {**trace["marker"], "size": 6 + 3 * min(3, covers)}
        wider.append(trace)
    return wider


def _is_line(trace: Chart) -> bool:
    return "lines" in trace.get("mode", "") and "marker" in trace


def _chart(title: str, xlabel: str, ylabel: str, data: list[Chart]) -> Chart:
    # Nothing here is below zero; without this a chart of zeros goes from -1 to 1.
    axis = {
        "gridcolor": "#e3e3e3",
        "zeroline": False,
        "automargin": True,
        "rangemode": "nonnegative",
    }
    return {
        "data": with_visible_overlaps(data),
        "layout": {
            "title": {"text": title, "font": {"size": 15}},
            "xaxis": {"title": {"text": xlabel}, **axis},
            "yaxis": {"title": {"text": ylabel}, **axis},
            "legend": {"orientation": "h", "y": -0.25},
            "margin": {"l": 55, "r": 15, "t": 45, "b": 45},
            "hovermode": "x unified",
            "paper_bgcolor": "white",
            "plot_bgcolor": "white",
        },
    }
