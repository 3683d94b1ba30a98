"""Boxes whose sides are distributions: how well such a box is placed.

GFL (Generalized Focal Loss, NeurIPS 2020) tells the distance of each side from a point
inside the box by a distribution over K bins of one stride each; the distance is its
mean. "Generalized Focal Loss V2" (CVPR 2021) shows that a sharp distribution goes with
a well placed side.

Shape legend: N boxes, 4 sides (left, top, right, bottom), K bins.
"""

from __future__ import annotations

import torch
from torch import Tensor


def side_moments(logits_N4K: Tensor) -> tuple[Tensor, Tensor]:
    """Means of the distances of a box's sides, and how far these spread.

    A side between two bins has a variance even where the network is certain: with mean
    m, whose fraction is f, no distribution over whole bins has less than ``f (1 - f)``.
    The spread is the root of what the variance has beyond that.

    Args:
        logits_N4K: (..., 4, K) logits of the bins 0 to K - 1.

    Returns:
        Means and spreads, both (..., 4) in bins, float32 (float64 for float64).
    """
    if logits_N4K.dtype != torch.float64:
        logits_N4K = logits_N4K.float()
    probs_N4K = logits_N4K.softmax(-1)
    bins_K = torch.arange(probs_N4K.shape[-1], device=probs_N4K.device).to(probs_N4K)
    means_N4 = (probs_N4K * bins_K).sum(-1)
    # The mean of squares less the square of the mean would lose the digits of a sharp
    # distribution.
    away_N4K = bins_K - means_N4[..., None]
    variances_N4 = (probs_N4K * away_N4K.square()).sum(-1)
    fractions_N4 = means_N4.frac()
    least_N4 = fractions_N4 * (1 - fractions_N4)
    return means_N4, (variances_N4 - least_N4).clamp(min=0).sqrt()


def spread_quality(logits_N4K: Tensor) -> Tensor:
    """Localisation quality of boxes from the spread of their sides' distributions.

    The IoU of a box with the one whose four sides lie their spreads (see
    :func:`side_moments`) further out: ``w h / ((w + s_left + s_right) (h + s_top +
    s_bottom))``. It has no unit, and the scale of a view does not change it.

    Args:
        logits_N4K: (..., 4, K) logits of the bins, sides in the order left, top, right,
            bottom.

    Returns:
        (...) in [0, 1], float32 (float64 for float64); the larger the better.
    """
    means_N4, spreads_N4 = side_moments(logits_N4K)
    extents_N2 = means_N4.unflatten(-1, (2, 2)).sum(-2)
    wider_N2 = extents_N2 + spreads_N4.unflatten(-1, (2, 2)).sum(-2)
    # A box of no extent whose sides are certain: all mass in the bins 0.
    tiny = torch.finfo(wider_N2.dtype).tiny
    return (extents_N2 / wider_N2.clamp(min=tiny)).prod(-1)
