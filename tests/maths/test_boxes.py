"""Geometry between views against slow float64 references."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.boxes import (
    box_areas,
    clip_boxes,
    hull_growth,
    relative_homographies,
    visible_fractions,
    warp_boxes,
)


def rotation(degrees: float) -> torch.Tensor:
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


numbers = st.floats(-1.0, 1.0, allow_nan=False)
affines = (
    st.tuples(*[numbers] * 6)
    .map(
        lambda v: torch.tensor(
            [
                [1.0 + 0.5 * v[0], 0.5 * v[1], 300 * v[2]],
                [0.5 * v[3], 1.0 + 0.5 * v[4], 300 * v[5]],
                [0.0, 0.0, 1.0],
            ],
            dtype=torch.float64,
        )
    )
    .filter(lambda m: abs(torch.linalg.det(m)) > 0.1)
)
box_lists = st.lists(
    st.tuples(
        st.floats(0, 1000), st.floats(0, 800), st.floats(0.1, 400), st.floats(0.1, 400)
    ),
    min_size=1,
    max_size=5,
).map(lambda rows: torch.tensor([[x, y, x + w, y + h] for x, y, w, h in rows]).double())


def slow_hull(box, matrix):
    """Corner by corner in float64."""
    xs, ys = [], []
    for x in (box[0], box[2]):
        for y in (box[1], box[3]):
            u, v, w = np.asarray(matrix) @ np.array([x, y, 1.0])
            xs.append(u / w)
            ys.append(v / w)
    return [min(xs), min(ys), max(xs), max(ys)]


@given(box_lists, affines)
@settings(deadline=None, max_examples=50)
def test_warp_is_the_hull_of_the_mapped_corners(boxes, matrix):
    got = warp_boxes(boxes, matrix)
    want = [slow_hull(box.tolist(), matrix) for box in boxes]
    assert got.dtype == torch.float32
    torch.testing.assert_close(
        got.double(), torch.tensor(want).double(), atol=2e-3, rtol=1e-5
    )


@given(box_lists, affines)
@settings(deadline=None, max_examples=30)
def test_ellipse_hull_equals_densely_mapped_ellipse(boxes, matrix):
    angle = torch.linspace(0, 2 * math.pi, 2001, dtype=torch.float64)
    for box in boxes:
        cx, cy = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        a, b = (box[2] - box[0]) / 2, (box[3] - box[1]) / 2
        points = torch.stack(
            [cx + a * angle.cos(), cy + b * angle.sin(), torch.ones_like(angle)]
        )
        u, v, _ = matrix @ points
        want = torch.stack([u.min(), v.min(), u.max(), v.max()])
        got = warp_boxes(box[None], matrix, "ellipse")[0].double()
        torch.testing.assert_close(got, want, atol=5e-3, rtol=1e-5)


@given(affines, affines)
@settings(deadline=None, max_examples=30)
def test_relative_homography_takes_source_points_to_target_points(target, source):
    point = torch.tensor([120.0, 75.0, 1.0], dtype=torch.float64)
    relative = relative_homographies(target[None], source[None])[0].double()
    torch.testing.assert_close(
        relative @ (source @ point), target @ point, atol=5e-3, rtol=1e-5
    )


def test_singular_view_is_refused():
    singular = torch.zeros(1, 3, 3)
    with pytest.raises(ValueError, match="cannot be inverted"):
        relative_homographies(torch.eye(3)[None], singular)


def test_perspective_divides_by_depth():
    matrix = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0.001, 0, 1.0]])
    box = torch.tensor([[100.0, 50.0, 200.0, 90.0]])
    want = torch.tensor([slow_hull(box[0].tolist(), matrix)])
    torch.testing.assert_close(warp_boxes(box, matrix).double(), want)


def test_one_matrix_per_box():
    boxes = torch.tensor([[0.0, 0.0, 10.0, 20.0], [5.0, 5.0, 9.0, 9.0]])
    matrices = torch.stack([torch.diag(torch.tensor([2.0, 3.0, 1.0])), torch.eye(3)])
    want = torch.tensor([[0.0, 0.0, 20.0, 60.0], [5.0, 5.0, 9.0, 9.0]])
    torch.testing.assert_close(warp_boxes(boxes, matrices), want)


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_autocast_does_not_move_boxes(dtype):
    boxes = torch.tensor([[1013.3, 511.7, 1201.9, 777.1]])
    matrix = rotation(17.0)
    with torch.autocast("cpu", dtype):
        got = warp_boxes(boxes, matrix)
    torch.testing.assert_close(got, warp_boxes(boxes, matrix), atol=0, rtol=0)


# A square of side 1 rotated by t has a hull of side cos t + sin t, so the area grows
# by (cos t + sin t)^2 = 1 + sin 2t: 1.342, 1.643, 1.866 at 10, 20, 30 degrees.
@pytest.mark.parametrize(
    ("degrees", "growth"), [(0, 1), (10, 1.342), (20, 1.643), (30, 1.866)]
)
def test_hull_growth_of_a_rotated_square(degrees, growth):
    box = torch.tensor([[10.0, 10.0, 40.0, 40.0]])
    matrix = rotation(degrees)[None]
    assert hull_growth(box, matrix).item() == pytest.approx(growth, abs=1e-3)
    ellipse = warp_boxes(box, matrix, "ellipse")
    assert box_areas(ellipse).item() == pytest.approx(900.0, rel=1e-4)


def test_unknown_hull_is_named():
    with pytest.raises(ValueError, match="circle"):
        warp_boxes(torch.zeros(1, 4), torch.eye(3), "circle")


def test_clip_uses_each_boxes_own_image():
    boxes = torch.tensor([[-5.0, -5.0, 300.0, 20.0], [90.0, 90.0, 120.0, 120.0]])
    sizes = torch.tensor([[100, 200], [100, 100]])
    want = torch.tensor([[0.0, 0.0, 200.0, 20.0], [90.0, 90.0, 100.0, 100.0]])
    torch.testing.assert_close(clip_boxes(boxes, sizes), want)


@given(
    st.lists(
        st.tuples(
            st.integers(0, 40),
            st.integers(0, 40),
            st.integers(1, 40),
            st.integers(1, 40),
        ),
        max_size=4,
    )
)
@settings(deadline=None, max_examples=40)
def test_visible_fraction_against_painted_pixels(patches):
    """Box 4..52 x 8..56 on a 48 x 60 image: paint it, erase it, count pixels."""
    canvas = np.zeros((200, 200), bool)
    canvas[8:56, 4:52] = True
    canvas[48:] = False
    rows = [[x, y, x + w, y + h] for x, y, w, h in patches]
    for x1, y1, x2, y2 in rows:
        canvas[y1:y2, x1:x2] = False
    want = canvas.sum() / (48 * 48)
    padded = torch.tensor(rows).float().reshape(1, -1, 4)
    got = visible_fractions(
        torch.tensor([[4.0, 8.0, 52.0, 56.0]]),
        torch.tensor([[48, 60]]),
        padded,
        grid=48,
    )
    assert got.item() == pytest.approx(want, abs=1e-6)


def test_visible_fraction_of_hidden_and_empty_boxes():
    boxes = torch.tensor([[10.0, 10, 20, 20], [5.0, 5, 5, 9], [200.0, 0, 220, 10]])
    patches = torch.tensor([[[0.0, 0, 50, 50]]] * 3)
    sizes = torch.tensor([[100, 100]] * 3)
    assert visible_fractions(boxes, sizes, patches).tolist() == [0.0, 0.0, 0.0]


def test_empty_inputs_stay_empty():
    empty = torch.zeros(0, 4)
    assert warp_boxes(empty, torch.eye(3)).shape == (0, 4)
    assert warp_boxes(empty, torch.zeros(0, 3, 3), "ellipse").shape == (0, 4)
    assert clip_boxes(empty, torch.zeros(0, 2)).shape == (0, 4)
    assert visible_fractions(empty, torch.zeros(0, 2), torch.zeros(0, 1, 4)).shape == (
        0,
    )
