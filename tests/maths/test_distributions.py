"""Localisation quality of boxes whose sides are distributions, against a slow loop."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.clustering import pairwise_iou
from ssod_mm.maths.distributions import side_moments, spread_quality

few = settings(deadline=None, max_examples=60)
BINS = 5
sides = st.lists(st.floats(-8, 8, allow_nan=False), min_size=BINS, max_size=BINS)
boxes = st.lists(st.lists(sides, min_size=4, max_size=4), max_size=4).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64).reshape(-1, 4, BINS)
)


def slow_moments(logits):
    """Mean of one side and its spread beyond that of the two bins around it."""
    total = sum(math.exp(value) for value in logits)
    probs = [math.exp(value) / total for value in logits]
    mean = sum(k * p for k, p in enumerate(probs))
    variance = sum(p * (k - mean) ** 2 for k, p in enumerate(probs))
    low = math.floor(mean)
    least = (low + 1 - mean) * (mean - low) ** 2 + (mean - low) * (low + 1 - mean) ** 2
    return mean, math.sqrt(max(variance - least, 0.0))


def slow_quality(box):
    """IoU of the boxes around the point (0, 0), by their corners."""
    means, spreads = zip(*map(slow_moments, box), strict=True)
    corners = [
        [-left, -top, right, bottom]
        for left, top, right, bottom in (
            means,
            [mean + spread for mean, spread in zip(means, spreads, strict=True)],
        )
    ]
    inner, outer = torch.tensor(corners, dtype=torch.float64)
    return float(pairwise_iou(inner, outer))


@given(boxes)
@few
def test_moments_and_quality_against_a_loop(logits):
    means, spreads = side_moments(logits)
    got = spread_quality(logits)
    assert got.dtype == torch.float64
    assert got.shape == (len(logits),)
    for number, box in enumerate(logits.tolist()):
        for side, values in enumerate(box):
            mean, spread = slow_moments(values)
            assert float(means[number, side]) == pytest.approx(mean, abs=1e-12)
            assert float(spreads[number, side]) == pytest.approx(spread, abs=1e-7)
        assert float(got[number]) == pytest.approx(slow_quality(box), abs=1e-7)
    single = spread_quality(logits.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single, got.float(), rtol=0, atol=2e-3)


def test_quality_by_hand():
    # Left and right half in bin 1, half in bin 3: mean 2, deviation 1. Top and bottom
    # surely in bin 2. A box of 4 x 4 in one of 6 x 4: 16 / 24.
    # Between two bins: half in 1, half in 2 is the surest that a mean of 1.5 can be.
    never = -math.inf
    unsure = [never, 0.0, never, 0.0, never]
    sure = [never, never, 0.0, never, never]
    between = [never, 0.0, 0.0, never, never]
    logits = torch.tensor(
        [[unsure, sure, unsure, sure], [sure] * 4, [unsure] * 4, [between] * 4]
    )
    want = torch.tensor([2 / 3, 1.0, 4 / 9, 1.0])
    torch.testing.assert_close(spread_quality(logits), want)


def test_sharper_sides_are_better():
    generator = torch.Generator().manual_seed(0)
    peaks = torch.randint(1, 8, (20, 4, 1), generator=generator)
    away = (torch.arange(9) - peaks).abs().float()
    qualities = [spread_quality(-sharpness * away) for sharpness in (0.5, 1, 2, 4)]
    for blunt, sharp in itertools.pairwise(qualities):
        assert (blunt < sharp).all()


def test_no_box_a_box_of_no_extent_and_reduced_precision():
    assert spread_quality(torch.zeros(0, 4, 17)).shape == (0,)
    certain = torch.full((1, 4, 17), -math.inf)
    certain[..., 0] = 0.0
    assert spread_quality(certain).tolist() == [0.0]
    reduced = torch.zeros(2, 4, 17, dtype=torch.bfloat16)
    assert spread_quality(reduced).dtype == torch.float32
