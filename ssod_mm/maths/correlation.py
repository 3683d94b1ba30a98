"""Correlation of two samples by value and by rank.

Shape legend: N pairs of values.
"""

from __future__ import annotations

from torch import Tensor


def pearson(x_N: Tensor, y_N: Tensor) -> Tensor:
    """Linear correlation of two samples.

    Args:
        x_N: (N,) finite values.
        y_N: (N,) finite values.

    Returns:
        Scalar float64 in [-1, 1]; NaN for fewer than two pairs or a constant sample.
    """
    x_N, y_N = x_N.double(), y_N.double()
    if len(x_N) < 2 or bool((x_N == x_N[0]).all()) or bool((y_N == y_N[0]).all()):
        return x_N.new_tensor(float("nan"))
    x_N, y_N = x_N - x_N.mean(), y_N - y_N.mean()
    together = (x_N * y_N).sum() / (x_N.norm() * y_N.norm())
    return together.clamp(-1.0, 1.0)


def spearman(x_N: Tensor, y_N: Tensor) -> Tensor:
    """Rank correlation of two samples: :func:`pearson` of their ranks.

    Args:
        x_N: (N,) finite values.
        y_N: (N,) finite values.

    Returns:
        Scalar float64 in [-1, 1]; NaN for fewer than two pairs or a constant sample.
    """
    return pearson(average_ranks(x_N), average_ranks(y_N))


def average_ranks(values_N: Tensor) -> Tensor:
    """Ranks from 1; equal values share the mean of their ranks.

    Args:
        values_N: (N,) values.

    Returns:
        (N,) float64; empty for an empty input.
    """
    _, group_N, counts = values_N.unique(return_inverse=True, return_counts=True)
    last = counts.cumsum(0)
    return ((2 * last - counts + 1).double() / 2)[group_N]
