"""Weights of candidates by how far their pseudo labels can be trusted.

From "Semi-Supervised Object Detection via Dynamic Reweighting of Localization Error"
(LER/PRC), sections 3.3 and 3.4. Every weight already holds its normaliser: the loss is
the plain sum of weight times candidate loss. Means are counted on tensors, so nothing
is fetched from the device.

Shape legend: P candidates of all images, C classes, K = C + 1 columns of a softmax
(background last) or C of a sigmoid.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssod_mm.errors import UserError

REG_NORMS = ("foreground", "sampled")
CLS_NORMS = ("separate", "joint")


def ler_weights(
    quality_P: Tensor, foreground_P: Tensor, norm: str = "foreground"
) -> Tensor:
    """Weights of the candidates' box losses by the quality of their pseudo labels.

    ``sum_j s_j L_j / N``: s_j is the localisation quality of the pseudo label that
    candidate j is assigned to.

    Reference: LER/PRC, equation 11, with N the number of foreground candidates.

    Args:
        quality_P: (P,) in [0, 1]; what stands at background candidates is not used.
        foreground_P: (P,) bool.
        norm: N is the number of ``"foreground"`` candidates, or of all ``"sampled"``
            ones as in MMDetection.

    Returns:
        (P,) float32, 0 at background candidates and everywhere when there is no
        foreground.

    Raises:
        ValueError: for another ``norm``.
    """
    if norm not in REG_NORMS:
        raise UserError(
            f"model.ler.reg_norm must be one of {list(REG_NORMS)}, not {norm!r}."
        )
    counted_P = foreground_P if norm == "foreground" else torch.ones_like(foreground_P)
    return torch.where(foreground_P, quality_P.float(), 0.0) / _count(counted_P)


def foreground_reliability(
    probs_PK: Tensor, quality: Tensor | None, num_classes: int
) -> Tensor:
    """How far the teacher believes that a candidate is an object, and where.

    The largest foreground probability, times the localisation quality of that same
    prediction.

    Reference: LER/PRC, equation 12.

    Args:
        probs_PK: (P, K) the teacher's probabilities for the candidates.
        quality: qualities in [0, 1], (P,), or (P, C) where boxes are predicted per
            class; None for the probability alone.
        num_classes: C.

    Returns:
        (P,) in [0, 1].
    """
    best_P, label_P = probs_PK[:, :num_classes].max(dim=1)
    if quality is None:
        return best_P
    if quality.dim() == 2:
        quality = quality.gather(1, label_P[:, None])[:, 0]
    return best_P * quality


def background_reliability(probs_PK: Tensor, num_classes: int) -> Tensor:
    """How far the teacher believes that a candidate is background.

    Reference: LER/PRC, equation 13. Deviation: a sigmoid classifier has no background
    column; there it is one minus the largest foreground probability.

    Args:
        probs_PK: (P, K) the teacher's probabilities for the candidates.
        num_classes: C.

    Returns:
        (P,) in [0, 1].
    """
    if probs_PK.shape[1] > num_classes:
        return probs_PK[:, num_classes]
    return 1.0 - probs_PK.amax(dim=1)


def prc_weights(
    foreground_reliability_P: Tensor,
    background_reliability_P: Tensor,
    foreground_P: Tensor,
    norm: str = "separate",
) -> Tensor:
    """Weights of the candidates' classification losses by their reliability.

    ``sum_i s_fg_i CE_i / N_fg + sum_j s_bg_j CE_j / N_bg`` over foreground candidates
    i and background candidates j.

    Reference: LER/PRC, equation 14.

    Args:
        foreground_reliability_P: (P,) in [0, 1], used at foreground candidates.
        background_reliability_P: (P,) in [0, 1], used at background candidates.
        foreground_P: (P,) bool, what the student was assigned.
        norm: ``"separate"`` as printed, or ``"joint"``: both sums are divided by P as
            in MMDetection.

    Returns:
        (P,) float32; where one of the two groups is empty, the other is unaffected.

    Raises:
        ValueError: for another ``norm``.
    """
    if norm not in CLS_NORMS:
        raise UserError(
            f"model.prc.cls_norm must be one of {list(CLS_NORMS)}, not {norm!r}."
        )
    reliability_P = torch.where(
        foreground_P, foreground_reliability_P, background_reliability_P
    ).float()
    if norm == "joint":
        return reliability_P / _count(torch.ones_like(foreground_P))
    counts_P = torch.where(foreground_P, _count(foreground_P), _count(~foreground_P))
    return reliability_P / counts_P


def masked_mean(values_P: Tensor, mask_P: Tensor) -> Tensor:
    """Mean of the values where the mask is true, as a scalar; 0 where it never is."""
    return torch.where(mask_P, values_P.float(), 0.0).sum() / _count(mask_P)


def _count(mask_P: Tensor) -> Tensor:
    """Number of true entries as float32, at least 1."""
    return mask_P.sum().float().clamp(min=1.0)
