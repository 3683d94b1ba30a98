"""Means, deviations and confidence intervals of a few folds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True)
class Summary:
    """Mean and spread of some values.

    Attributes:
        mean: their mean.
        std: their sample deviation, by n - 1; None for a single value.
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
    """Mean and deviation; None where there is no value."""
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
        confidence: confidence level of the interval, in (0, 1).

    Returns:
        None where they have no split in common.
    """
    pairs = [ours[key] - theirs[key] for key in ours if key in theirs]
    summary = summarise(pairs)
    if summary is None:
        return None
    if summary.std is None:
        return Difference(summary.mean, None, None, 1)
    quantile = float(stdtrit(summary.num - 1, 0.5 + confidence / 2))
    half = quantile * summary.std / math.sqrt(summary.num)
    return Difference(
        summary.mean, summary.mean - half, summary.mean + half, summary.num
    )
