"""Thresholds and loss weights of each class from how much of it the teacher finds.

Reference:
    Li et al., Rethinking pseudo labels for semi-supervised object detection
    (arXiv 2106.00168), section "Dynamic thresholding and re-weighting".

Shape legend: C classes, N candidate boxes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def class_evidence(
    labels_N: Tensor,
    probs_N: Tensor,
    qualities_N: Tensor | None,
    num_classes: int,
    floor: float = 0.0,
) -> Tensor:
    """Sums over the foreground candidates of each class, for equation 6.

    Reference:
        arXiv 2106.00168, equation 6: ``sum_j p_j v_j`` and ``sum_j 1``.

    Args:
        labels_N: (N,) int64 classes in [0, C).
        probs_N: (N,) class probabilities p in [0, 1].
        qualities_N: (N,) localisation qualities v in [0, 1]; None counts all as 1.
        num_classes: C.
        floor: candidates with a probability below it do not count.

    Returns:
        (2, C) float64: ``c_m`` and the number of candidates. Without candidates all
        are 0. Nothing is fetched from the device.
    """
    counted_N = (probs_N >= floor).double()
    mass_N = counted_N * probs_N.double()
    if qualities_N is not None:
        mass_N = mass_N * qualities_N.double()
    sums_2C = mass_N.new_zeros(2, num_classes)
    return sums_2C.index_add_(1, labels_N, torch.stack([mass_N, counted_N]))


def relative_frequencies(
    mass_C: Tensor, counts_C: Tensor, prior: float = 0.0
) -> Tensor:
    """``c_m / n``: how much of a class is found, measured by the average class.

    Reference:
        arXiv 2106.00168, equation 6: ``n`` is the number of foreground candidates,
        averaged over the classes.

    Args:
        mass_C: (C,) ``c_m = sum_j p_j v_j``, >= 0.
        counts_C: (C,) numbers of foreground candidates, >= 0; or ``mass_C`` again, to
            measure classes by each other.
        prior: candidates that every class is taken to have had before the first one,
            each with ``p v = 1``. It is added to ``c_m`` and to ``n``: a class counts
            as average until there is evidence.

    Returns:
        (C,) float64, >= 0; 1 where neither prior nor candidate exists.
    """
    mass_C = mass_C.double() + prior
    mean = counts_C.double().mean() + prior
    ratio_C = mass_C / mean.clamp(min=torch.finfo(torch.float64).tiny)
    return torch.where(mean > 0, ratio_C, 1.0)


def class_thresholds(
    frequencies_C: Tensor,
    tau: float = 0.7,
    g1: float = 0.05,
    clip: tuple[float, float] = (0.4, 0.9),
) -> Tensor:
    """Score threshold of each class, ``clip((c_m / n)^g1 * tau)``.

    Reference:
        arXiv 2106.00168, equation 6 and the clipping below it.

    Args:
        frequencies_C: (C,) ``c_m / n`` of :func:`relative_frequencies`, >= 0.
        tau: threshold of an average class, in [0, 1].
        g1: exponent, >= 0; 0 gives ``tau`` for every class, not clipped.
        clip: bounds of the thresholds.

    Returns:
        (C,) float32. A class without any candidate gets the lower bound.
    """
    if g1 == 0:
        return torch.full_like(frequencies_C, tau, dtype=torch.float32)
    return (frequencies_C.double().pow(g1) * tau).clamp(*clip).float()


def class_weights(
    frequencies_C: Tensor,
    g2: float = 0.6,
    bounds: tuple[float, float] = (0.1, 10.0),
) -> Tensor:
    """Loss weight of each class, ``(n / c_m)^g2``, bounded.

    Reference:
        arXiv 2106.00168, equation 6.

    Deviation: the paper prints no bounds. Without an upper one a class that was never
    found would have an infinite weight.

    Args:
        frequencies_C: (C,) ``c_m / n`` of :func:`relative_frequencies`, >= 0.
        g2: exponent, >= 0; 0 gives 1 for every class, not bounded.
        bounds: least and largest weight, both above 0.

    Returns:
        (C,) float32, finite. A class without any candidate gets the upper bound.
    """
    if g2 == 0:
        return torch.ones_like(frequencies_C, dtype=torch.float32)
    return frequencies_C.double().pow(-g2).clamp(*bounds).float()
