"""Mosaics and mixup against loops over views and pixels."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.boxes import warp_boxes
from ssod_mm.maths.mixing import mosaic_matrices, mosaics, overlaid, placed_views

CANVAS = (24, 40)
side = st.integers(3, 40)


@given(
    st.lists(st.tuples(side, side), min_size=4, max_size=4),
    st.integers(4, 36),
    st.integers(4, 20),
)
@settings(deadline=None, max_examples=40)
def test_views_fill_their_quarter_and_meet_at_the_cross(sizes, x, y):
    sizes_142 = torch.tensor([sizes])
    matrices = mosaic_matrices(sizes_142, torch.tensor([[x, y]]), CANVAS)
    assert matrices.shape == (1, 4, 3, 3)
    for number, (height, width) in enumerate(sizes):
        is_right, is_lower = number % 2, number // 2
        room_x = CANVAS[1] - x if is_right else x
        room_y = CANVAS[0] - y if is_lower else y
        scale = min(room_x / width, room_y / height, 1.0)
        left = x if is_right else x - scale * width
        top = y if is_lower else y - scale * height
        want = torch.tensor([left, top, left + scale * width, top + scale * height])
        view = torch.tensor([[0.0, 0.0, width, height]])
        got = warp_boxes(view, matrices[0, number])[0]
        torch.testing.assert_close(got, want, atol=1e-4, rtol=0)
        assert got.min() >= -1e-4
        assert (got[2:] <= torch.tensor([CANVAS[1], CANVAS[0]]) + 1e-4).all()


def slow_pixel(image, matrix, size, x, y):
    """Bilinear value at a pixel's centre, by hand in float64; None outside."""
    scale, height, width = matrix[0, 0].item(), *size
    u = (x + 0.5 - matrix[0, 2].item()) / scale
    v = (y + 0.5 - matrix[1, 2].item()) / scale
    if not (0 <= u < width and 0 <= v < height):
        return None
    u, v = (min(max(c - 0.5, 0.0), n - 1.0) for c, n in ((u, width), (v, height)))
    total = 0.0
    for row, of_row in ((int(v), 1 - v % 1), (min(int(v) + 1, height - 1), v % 1)):
        for col, of_col in ((int(u), 1 - u % 1), (min(int(u) + 1, width - 1), u % 1)):
            total += of_row * of_col * image[0, row, col].item()
    return total


def test_placed_pixels_are_the_bilinear_ones():
    torch.manual_seed(0)
    sizes = torch.tensor([[20, 30], [24, 16], [9, 40], [3, 3]])
    images = torch.rand(4, 1, *CANVAS)
    for image, (height, width) in zip(images, sizes.tolist(), strict=True):
        image[:, height:] = image[:, :, width:] = 0  # the padding of a batch
    matrices = mosaic_matrices(sizes[None], torch.tensor([[17, 11]]), CANVAS)[0]
    drawn, inside = placed_views(images, matrices, sizes)
    for number in range(4):
        for y in range(CANVAS[0]):
            for x in range(CANVAS[1]):
                want = slow_pixel(
                    images[number], matrices[number], sizes[number].tolist(), x, y
                )
                assert bool(inside[number, 0, y, x]) == (want is not None)
                got = drawn[number, 0, y, x].item()
                assert got == pytest.approx(want or 0.0, abs=1e-4)
    together = mosaics(images, matrices, sizes)
    assert together.shape == (1, 1, *CANVAS)
    torch.testing.assert_close(together, drawn.sum(0, keepdim=True))
    assert not (inside.sum(0) > 1).any()


def test_overlaid_pixels_are_weighted_means():
    images = torch.tensor([1.0, 5.0, 9.0]).view(3, 1, 1, 1)
    got = overlaid(images, torch.tensor([1, 2, 0]), torch.tensor([0.5, 1.0, 0.25]))
    assert got.flatten().tolist() == [3.0, 5.0, 3.0]


def test_no_views_give_no_mosaic():
    empty = torch.zeros(0, 4, 2)
    matrices = mosaic_matrices(empty, torch.zeros(0, 2), CANVAS)
    assert matrices.shape == (0, 4, 3, 3)
