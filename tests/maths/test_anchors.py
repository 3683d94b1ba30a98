"""Anchor matching against all anchors of the level, for every augmentation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.anchors import anchor_levels, level_table, match_anchors
from ssod_mm.maths.boxes import warp_boxes
from ssod_mm.maths.clustering import pairwise_iou

STRIDES = torch.tensor([[8, 8], [16, 16], [32, 32]])
SIZES = torch.tensor([[12, 16], [6, 8], [3, 4]])  # of a 96 x 128 image
RATIOS = torch.tensor([0.5, 1.0, 2.0])


def base_anchors(centre=0.0):
    levels = []
    for stride in (8.0, 16.0, 32.0):
        width, height = 4 * stride / RATIOS.sqrt(), 4 * stride * RATIOS.sqrt()
        half = torch.stack([width, height], 1) / 2
        levels.append(torch.cat([centre * stride - half, centre * stride + half], 1))
    return torch.stack(levels)


def all_anchors(base):
    """Per level (H * W * A, 4), built point by point."""
    levels = []
    for anchors, stride, size in zip(base, STRIDES, SIZES, strict=True):
        rows = [
            anchor + torch.tensor([x, y, x, y]) * stride[0]
            for y in range(size[0])
            for x in range(size[1])
            for anchor in anchors
        ]
        levels.append(torch.stack(rows))
    return levels


def view(name, a, b):
    """A 96 x 128 image under one of the views' transforms, amounts in [-1, 1]."""
    angle = math.radians(30 * a)
    c, s = math.cos(angle), math.sin(angle)
    last = [0, 0, 1]
    matrices = {
        "none": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        "flip": [[-1, 0, 128], [0, 1, 0], [0, 0, 1]],
        "resize": [[1 + 0.5 * a, 0, 0], [0, 1 + 0.5 * a, 0], [0, 0, 1]],
        "translate": [[1, 0, 12.8 * a], [0, 1, 9.6 * b], [0, 0, 1]],
        "rotate": [[c, -s, 30 * b], [s, c, -20 * b], [0, 0, 1]],
        "shear": [[1, math.tan(angle), 0], [math.tan(math.pi / 6 * b), 1, 0], last],
    }
    return torch.tensor(matrices[name], dtype=torch.float32)


VIEWS = ("none", "flip", "resize", "translate", "rotate", "shear")
amount = st.floats(-1.0, 1.0, allow_nan=False)


@pytest.mark.parametrize("name", [*VIEWS, "all"])
@given(amount, amount, st.sampled_from([0.0, 0.5]))
@settings(deadline=None, max_examples=8)
def test_no_anchor_of_the_level_overlaps_more(name, a, b, centre):
    base = base_anchors(centre)
    grid = all_anchors(base)
    matrix = view(name, a, b) if name != "all" else torch.eye(3)
    if name == "all":
        for each in VIEWS[1:]:
            matrix = view(each, a, b) @ matrix
    boxes = warp_boxes(torch.cat(grid)[::7], matrix)
    levels = anchor_levels(boxes, 32.0, 3)
    index, iou = match_anchors(boxes, levels, level_table(base, STRIDES, SIZES))
    starts = [0, len(grid[0]), len(grid[0]) + len(grid[1])]
    for number, (box, level) in enumerate(zip(boxes, levels.tolist(), strict=True)):
        brute = pairwise_iou(box, grid[level])
        assert iou[number].item() == pytest.approx(brute.max().item(), abs=1e-5)
        own = brute[index[number] - starts[level]].item()
        assert own == pytest.approx(brute.max().item(), abs=1e-5)


def test_equal_views_match_each_anchor_with_itself():
    base = base_anchors()
    anchors = torch.cat(all_anchors(base))
    levels = anchor_levels(anchors, 32.0, 3)
    index, iou = match_anchors(anchors, levels, level_table(base, STRIDES, SIZES))
    assert index.tolist() == list(range(len(anchors)))
    torch.testing.assert_close(iou, torch.ones_like(iou))


def test_level_by_size_as_in_the_paper():
    sides = torch.tensor([5.0, 32.0, 63.9, 64.0, 128.0, 700.0, 4000.0])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], 1)
    # floor(log2(side / 32)): -3, 0, 0, 1, 2, 4, 6, clipped to [0, 4]
    assert anchor_levels(boxes, 32.0, 5).tolist() == [0, 0, 0, 1, 2, 4, 4]


def test_nearest_level_by_size():
    """Up from sqrt(2) times a level's size, as a shrunk anchor should stay."""
    sides = torch.tensor([5.0, 31.0, 45.0, 46.0, 63.9, 90.0, 91.0, 4000.0])
    boxes = torch.stack([sides * 0, sides * 0, sides, sides], 1)
    levels = anchor_levels(boxes, 32.0, 5, nearest=True)
    assert levels.tolist() == [0, 0, 0, 1, 1, 1, 2, 4]


def test_boxes_outside_match_the_border():
    boxes = torch.tensor([[-500.0, -500.0, -468.0, -468.0]])
    index, iou = match_anchors(
        boxes, torch.zeros(1).long(), level_table(base_anchors(), STRIDES, SIZES)
    )
    assert iou.item() == 0
    assert index.item() == 0


def test_no_boxes():
    empty = torch.zeros(0, 4)
    levels = anchor_levels(empty, 32.0, 3)
    index, iou = match_anchors(
        empty, levels, level_table(base_anchors(), STRIDES, SIZES)
    )
    assert index.shape == iou.shape == (0,)
