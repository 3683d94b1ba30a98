import math

import pytest

from ssod_mm.reporting.curves import plot_panels
from ssod_mm.reporting.iou_tables import IouCurve, iou_panel, iou_rows, rare_rows

THRESHOLDS = (0.5, 0.75)
CURVES = [IouCurve("plain", [0.4, 0.2]), IouCurve("interval", [0.41, math.nan])]


def test_rows_in_percent():
    assert iou_rows(THRESHOLDS, CURVES) == [
        ["IoU", "0.50", "0.75"],
        ["plain", "40.0", "20.0"],
        ["interval", "41.0", "-"],
    ]


def test_mean_over_the_thresholds_comes_first():
    rows = iou_rows(THRESHOLDS, CURVES, mean=True)
    assert rows[0][1] == "mean"
    assert [row[1] for row in rows[1:]] == ["30.0", "-"]


def test_a_value_for_each_threshold():
    with pytest.raises(ValueError, match="plain has 2 values for 3 thresholds"):
        iou_rows((0.5, 0.6, 0.7), CURVES)


def test_panel_leaves_out_what_was_not_measured(tmp_path):
    panel = iou_panel("AP", "AP", THRESHOLDS, CURVES)
    points = [list(curve.points) for curve in panel.curves]
    assert points[0] == [(0.5, pytest.approx(40.0)), (0.75, pytest.approx(20.0))]
    assert points[1] == [(0.5, pytest.approx(41.0))]
    assert (panel.xlabel, panel.ylabel) == ("IoU threshold", "AP (%)")
    assert plot_panels([panel], tmp_path / "iou.png").stat().st_size > 1000


def test_rare_classes_beside_all():
    assert rare_rows(["x", "y"], [0.3, 0.25], [0.101, math.nan]) == [
        ["", "AP", "AP rare"],
        ["x", "30.0", "10.1"],
        ["y", "25.0", "-"],
    ]
