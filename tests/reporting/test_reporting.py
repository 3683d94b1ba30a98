"""Scalars, tables and curves from fixed inputs."""

import json

import cv2
import pytest

from ssod_mm.reporting.curves import Curve, Panel, averaged, plot_panels
from ssod_mm.reporting.scalars import read_scalars
from ssod_mm.reporting.tables import (
    ResultRow,
    markdown_table,
    result_rows,
    terminal_table,
)


def write_lines(folder, rows, tail=""):
    path = folder / "vis_data" / "scalars.json"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n" + tail)


def test_scalars_of_a_resumed_run_are_joined_and_the_later_part_wins(tmp_path):
    first = [{"loss": 3.0, "iter": 1, "step": 1}, {"loss": 2.0, "iter": 2, "step": 2}]
    second = [{"loss": 1.5, "step": 2}, {"teacher/coco/bbox_mAP": 0.25, "step": 3}]
    write_lines(tmp_path / "20260101_000000", first, tail='{"loss": 9')
    write_lines(tmp_path / "20260102_000000", second)
    run = read_scalars(tmp_path)
    assert run.get("loss") == [(1, 3.0), (2, 1.5)]
    assert run.last("teacher/coco/bbox_mAP") == 0.25
    assert run.last("nothing") is None
    assert run.get("nothing") == []


def test_folder_without_a_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=tmp_path.name):
        read_scalars(tmp_path)


def rows():
    baseline = ResultRow("supervised", {"AP": 20.04, "AP50": 40.0, "AP75": 18.0})
    ours = ResultRow("mean teacher", {"AP": 23.55, "AP50": 45.0, "AP75": None})
    return baseline, ours


def test_table_shows_gains_and_leaves_unmeasured_cells_open():
    baseline, ours = rows()
    cells = result_rows([baseline, ours], baseline)
    assert cells == [
        ["", "AP", "AP50", "AP75", "gain (AP)"],
        ["supervised", "20.0", "40.0", "18.0", ""],
        ["mean teacher", "23.6", "45.0", "-", "+3.5"],
    ]
    assert markdown_table(cells).splitlines()[1:] == [
        "| --- | ---: | ---: | ---: | ---: |",
        "| supervised | 20.0 | 40.0 | 18.0 |  |",
        "| mean teacher | 23.6 | 45.0 | - | +3.5 |",
    ]
    assert "+3.5" in terminal_table(cells, "title")


def test_baseline_without_a_result_gives_no_gain():
    empty = ResultRow("supervised", {"AP": None})
    cells = result_rows([empty, rows()[1]], empty)
    assert cells[2][-1] == "-"


def test_curves_become_a_picture(tmp_path):
    panel = Panel("AP", "%", [Curve("a", [(1, 2.0), (2, 3.0)]), Curve("none", [])])
    path = plot_panels([panel, panel], tmp_path / "deep" / "curves.png")
    image = cv2.imread(str(path))
    assert image.shape[1] > image.shape[0]
    assert image.std() > 0


def test_a_long_series_becomes_means_of_stretches():
    series = [(1, 1.0), (2, 3.0), (3, float("nan")), (4, 5.0), (5, 7.0), (6, 8.0)]
    assert averaged(series, 3) == [(2, 2.0), (5, 6.0), (6, 8.0)]
    assert averaged(series, 99) == [point for point in series if point[0] != 3]
    assert averaged([], 3) == []


def drawn(monkeypatch, tmp_path, *curves):
    """The axis of one panel."""
    figures = []
    monkeypatch.setattr("matplotlib.pyplot.close", figures.append)
    plot_panels([Panel("AP", "%", curves)], tmp_path / "curves.png")
    return figures[0].axes[0]


@pytest.mark.parametrize(
    ("values", "limits"),
    [((0.0, 0.0), (0.0, 1.0)), ((0.0, 0.4), (0.0, 0.42)), ((-1.0, 1.0), (-1.1, 1.1))],
)
def test_an_axis_goes_below_zero_only_with_its_values(
    monkeypatch, tmp_path, values, limits
):
    curve = Curve("a", [*enumerate(values)])
    axis = drawn(monkeypatch, tmp_path, curve)
    assert axis.get_ylim() == pytest.approx(limits)


def test_equal_curves_are_all_visible(monkeypatch, tmp_path):
    points = [(1, 2.0), (2, 3.0)]
    curves = [Curve(name, points) for name in "abc"] + [Curve("d", [(1, 0.0)])]
    axis = drawn(monkeypatch, tmp_path, *curves)
    widths = [line.get_linewidth() for line in axis.lines]
    assert widths == [5.5, 3.5, 1.5, 1.5]  # each shows behind the next
    sizes = [line.get_markersize() for line in axis.lines]
    assert sizes == [7.0, 5.0, 3.0, 3.0]


def test_a_label_has_one_colour_in_all_panels(tmp_path):
    line = [(1, 2.0), (2, 3.0)]
    a, b = Curve("a", line), Curve("b", line)
    pictures = [
        cv2.imread(str(plot_panels(panels, tmp_path / f"{number}.png")))
        for number, panels in enumerate(
            [
                [Panel("", "", [a, b]), Panel("", "", [b])],
                [Panel("", "", [Curve("a", []), b]), Panel("", "", [b])],
            ]
        )
    ]
    half = pictures[0].shape[1] // 2
    assert (pictures[0][:, half:] == pictures[1][:, half:]).all()
    assert (pictures[0][:, :half] != pictures[1][:, :half]).any()
    orange = (pictures[0] == (14, 127, 255)).all(-1)
    assert orange[:, :half].any()
    assert orange[:, half:].any()
