"""Correlations against loops and by hand."""

import math

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ssod_mm.maths.correlation import average_ranks, pearson, spearman

few = settings(deadline=None, max_examples=60)
pairs = st.lists(
    st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=12
)


def slow_ranks(values):
    return [
        sum(other < number for other in values)
        + (sum(other == number for other in values) + 1) / 2
        for number in values
    ]


def slow_pearson(x, y):
    mx, my = sum(x) / len(x), sum(y) / len(y)
    cov = sum((a - mx) * (b - my) for a, b in zip(x, y, strict=True))
    vx, vy = sum((a - mx) ** 2 for a in x), sum((b - my) ** 2 for b in y)
    return cov / math.sqrt(vx * vy)


@given(pairs)
@few
def test_against_loops(rows):
    x, y = ([row[i] for row in rows] for i in (0, 1))
    assume(len(set(x)) > 1 and len(set(y)) > 1)
    assert average_ranks(torch.tensor(x)).tolist() == slow_ranks(x)
    got = pearson(torch.tensor(x), torch.tensor(y)).item()
    assert got == pytest.approx(slow_pearson(x, y), abs=1e-12)
    got = spearman(torch.tensor(x), torch.tensor(y)).item()
    assert got == pytest.approx(slow_pearson(slow_ranks(x), slow_ranks(y)), abs=1e-12)


def test_by_hand():
    # x = 1, 2, 3, 4 and y = 1, 3, 2, 4: squared rank differences 0, 1, 1, 0,
    # 1 - 6 * 2 / (4 * 15) = 0.8
    x, y = torch.tensor([1.0, 2, 3, 4]), torch.tensor([1.0, 3, 2, 4])
    assert spearman(x, y).item() == pytest.approx(0.8)
    # A monotonous map leaves ranks alone: 1 for spearman, less for pearson.
    assert spearman(x, x.exp()).item() == pytest.approx(1.0)
    assert pearson(x, x.exp()).item() < 0.95
    assert pearson(x, -2 * x + 7).item() == pytest.approx(-1.0)
    assert average_ranks(torch.tensor([5.0, 1, 5, 5])).tolist() == [3, 1, 3, 3]


def test_constant_and_short_samples_have_none():
    x = torch.tensor([1.0, 2.0])
    for pair in ((x, torch.ones(2)), (torch.ones(2), x), (x[:1], x[:1]), (x[:0],) * 2):
        assert math.isnan(pearson(*pair))
        assert math.isnan(spearman(*pair))
    assert average_ranks(x[:0]).shape == (0,)
