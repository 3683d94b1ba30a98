"""Means, deviations and confidence intervals of a few folds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Summary:
    """Mean and spread of some values.

    Attributes:
        mean: their mean.
        std: their sample deviation, by n - 1; None of a single one.
        num: how many there are.
    """

    mean: float
    std: float | None
    num: int


@dataclass(frozen=True)
class Difference:
    """Mean of paired differences with its confidence interval.

    Attributes:
        mean: ours minus theirs.
        low: lower end; None with fewer than two pairs.
        high: upper end.
        num: number of pairs.
    """

    mean: float
    low: float | None
    high: float | None
    num: int

    @property
    def is_certain(self) -> bool:
        """Whether the interval leaves zero out."""
        return self.low is not None and (self.low > 0 or self.high < 0)


def summarise(values: Sequence[float]) -> Summary | None:
    """Mean and deviation; None of nothing."""
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), spread, len(values))


def paired_difference(
    ours: Mapping[object, float],
    theirs: Mapping[object, float],
    confidence: float = 0.95,
) -> Difference | None:
    """Compare two methods on the splits that both have, by Student's t.

    Args:
        ours: value of each split.
        theirs: value of each split.
        confidence: of the interval, in (0, 1).

    Returns:
        None where they have no split in common.
    """
    pairs = [ours[key] - theirs[key] for key in ours if key in theirs]
    summary = summarise(pairs)
    if summary is None:
        return None
    if summary.std is None:
        return Difference(summary.mean, None, None, 1)
    wide = t_quantile(0.5 + confidence / 2, summary.num - 1)
    half = wide * summary.std / math.sqrt(summary.num)
    return Difference(
        summary.mean, summary.mean - half, summary.mean + half, summary.num
    )


@cache
def t_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t distribution.

    Args:
        probability: in [0.5, 1).
        freedom: degrees of freedom, from 1.

    Raises:
        ValueError: an argument out of its range.
    """
    if not 0.5 <= probability < 1 or freedom < 1:
        raise ValueError(f"t_quantile({probability}, {freedom}): not in its range")
    low, high = 0.0, 1.0
    while _t_probability(high, freedom) < probability:
        high *= 2
    for _ in range(80):
        middle = (low + high) / 2
        if _t_probability(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _t_probability(value: float, freedom: int) -> float:
    """P(T <= value) for value >= 0, by the finite sums for whole degrees."""
    angle = math.atan(value / math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0 if odd and freedom == 1 else term
    for k in range(3 if odd else 2, freedom - 1, 2):
        term *= cosine**2 * (k - 1) / k
        total += term
    inside = 2 / math.pi * (angle + sine * total) if odd else sine * total
    return 0.5 + inside / 2
