"""RoIAlign as sums of rows against loops, mmcv's, and finite differences."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mmcv.ops import roi_align

from ssod_mm.maths.roi_align import pool_rois, sum_of_rows

BINS = (2, 3)


def drawn_rois(generator, count, images=2, most=48.0):
    """RoIs of all sizes, some of them outside, some of negative size."""
    start = (torch.rand(count, 2, generator=generator) - 0.3) * most
    sides = (torch.rand(count, 2, generator=generator) - 0.1) * most
    image = torch.randint(0, images, (count, 1), generator=generator)
    return torch.cat([image, start, start + sides], 1)


def drawn_maps(generator, channels=3, images=2):
    shapes = [(6, 9), (3, 5), (1, 2)]
    return [torch.randn(images, channels, *s, generator=generator) for s in shapes]


def slow_bin(plane, top, left, height, width, samples):
    """Mean of the samples of one bin of one channel, in Python floats."""
    total = 0.0
    for i in range(samples):
        for j in range(samples):
            y = top + (i + 0.5) * height / samples
            x = left + (j + 0.5) * width / samples
            total += slow_sample(plane, y, x)
    return total / samples**2


def slow_sample(plane, y, x):
    rows, columns = plane.shape
    if not (-1 <= y <= rows and -1 <= x <= columns):
        return 0.0
    y, x = min(max(y, 0), rows - 1), min(max(x, 0), columns - 1)
    value = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            share = max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
            if share:
                value += share * float(plane[row, column])
    return value


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), samples=st.integers(1, 3), aligned=st.booleans())
def test_pooled_rois_equal_loops_and_mmcvs(seed, samples, aligned):
    generator = torch.Generator().manual_seed(seed)
    maps, scales = drawn_maps(generator), [1 / 4, 1 / 8, 1 / 16]
    rois = drawn_rois(generator, 7)
    levels = torch.randint(0, 4, (7,), generator=generator)  # 3 stands for none
    exact = [level.double() for level in maps]
    pooled = pool_rois(exact, rois.double(), levels, scales, BINS, samples, aligned)
    floats = pool_rois(maps, rois, levels, scales, BINS, samples, aligned)
    for k, (image, x1, y1, x2, y2) in enumerate(rois.double().tolist()):
        level = int(levels[k])
        if level == len(maps):
            assert not pooled[k].any()
            continue
        scale, shift = scales[level], 0.5 if aligned else 0.0
        left, top = x1 * scale - shift, y1 * scale - shift
        width, height = (x2 - x1) * scale, (y2 - y1) * scale
        if not aligned:
            width, height = max(width, 1.0), max(height, 1.0)
        width, height = width / BINS[1], height / BINS[0]
        for c in range(3):
            for i in range(BINS[0]):
                for j in range(BINS[1]):
                    plane = exact[level][int(image), c]
                    where = top + i * height, left + j * width
                    value = slow_bin(plane, *where, height, width, samples)
                    assert pooled[k, c, i, j].item() == pytest.approx(value, abs=1e-9)
        if x2 < x1 or y2 < y1:  # mmcv's takes none of negative size
            continue
        mmcvs = roi_align(
            maps[level], rois[k : k + 1], BINS, scale, samples, "avg", aligned
        )
        torch.testing.assert_close(floats[k], mmcvs[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_gradients_equal_mmcvs(order):
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 4, 12, 16, generator=generator)
    rois = drawn_rois(generator, 30, most=100.0)
    rois[:, 3:] = rois[:, 3:].maximum(rois[:, 1:3])
    weights = torch.randn(30, 4, *BINS, generator=generator)
    gradients = []
    for pool in (
        lambda x: pool_rois(
            [x], rois, torch.zeros(30, dtype=torch.int64), [1 / 8], BINS, 2
        ),
        lambda x: roi_align(x.contiguous(), rois, BINS, 1 / 8, 2, "avg", True),
    ):
        leaf = maps.clone(memory_format=order).requires_grad_()
        (pool(leaf) * weights).sum().backward()
        gradients.append(leaf.grad)
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_gradients_by_finite_differences():
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    index = torch.tensor([[0, 0], [3, 1], [4, 3]])  # the third row is in no sum
    weights = torch.randn(3, 2, generator=generator, dtype=torch.float64)
    rows.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: sum_of_rows(x, index, weights), rows)


def test_a_roi_that_is_no_number_pools_zeros():
    """A training whose boxes diverge is stopped by its loss, not by an index."""
    maps = [torch.ones(1, 1, 4, 4)]
    rois = torch.tensor([[0, float("nan"), 0, 9, 9], [0, 0, 0, float("inf"), 9]])
    pooled = pool_rois(maps, rois, torch.zeros(2, dtype=torch.int64), [1.0], BINS, 1)
    assert not pooled.any()
