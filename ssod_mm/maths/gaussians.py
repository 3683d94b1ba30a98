"""Boxes as Gaussians: regression loss with a learnt variance, localisation quality.

From "Semi-Supervised Object Detection via Dynamic Reweighting of Localization Error"
(LER/PRC), sections 3.2 and 3.3. A box is four independent Gaussians over its deltas;
the network predicts the means and ``log(sigma^2)``.

Shape legend: N boxes, 4 box deltas. Deltas are those of the box coder, divided by its
standard deviations, so they and the variances have no unit.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

LOG_VAR_LIMIT = 7.0
QUALITY_ON = ("variance", "log_variance")


def limited_log_var(log_var: Tensor, limit: float = LOG_VAR_LIMIT) -> Tensor:
    """Log variances held within ``[-limit, limit]``, with the gradient of the identity.

    Where a plain clamp would have no gradient, a value beyond the limit still feels
    the loss and finds its way back.

    Args:
        log_var: predicted ``log(sigma^2)``, any shape.
        limit: largest absolute value, > 0.

    Returns:
        float32 of the same shape; empty for an empty input.

    Raises:
        ValueError: if ``limit`` is not positive.
    """
    if not limit > 0:
        raise ValueError(f"log_var_limit must be positive, not {limit}.")
    log_var = log_var if log_var.dtype == torch.float64 else log_var.float()
    inside = log_var.detach().clamp(-limit, limit)
    return inside + (log_var - log_var.detach())


def gaussian_kl_loss(
    pred_N4: Tensor,
    log_var_N4: Tensor,
    target_N4: Tensor,
    limit: float = LOG_VAR_LIMIT,
) -> Tensor:
    """KL divergence of the predicted Gaussian from the true box, smooth in its tails.

    With d = |target - pred| and s = log(sigma^2): ``exp(-s) d^2 / 2 + s / 2`` where
    d <= 1 and ``exp(-s) (d - 1/2) + s / 2`` beyond. Constants are left out, so the loss
    may be negative; it is at least ``-limit / 2``.

    Reference: LER/PRC, equations 8 and 9 (the divergence of 4, 6 and 7 up to terms
    without parameters). Computed in float32, or float64 for float64 inputs.

    Args:
        pred_N4: (N, 4) predicted deltas, the means.
        log_var_N4: (N, 4) predicted log variances.
        target_N4: (N, 4) deltas of the true box.
        limit: see :func:`limited_log_var`.

    Returns:
        (N, 4) losses, not reduced; empty for an empty input.

    Raises:
        ValueError: if ``limit`` is not positive.
    """
    log_var_N4 = limited_log_var(log_var_N4, limit)
    pred_N4 = pred_N4.to(log_var_N4.dtype)
    target_N4 = target_N4.to(log_var_N4.dtype)
    error_N4 = smooth_l1_loss(pred_N4, target_N4, reduction="none", beta=1.0)
    return (-log_var_N4).exp() * error_N4 + log_var_N4 / 2


def localization_quality(
    log_var_N4: Tensor,
    quality_on: str = "variance",
    limit: float = LOG_VAR_LIMIT,
) -> Tensor:
    """How well boxes are placed: one minus the sigmoid of their mean variance.

    Reference: LER/PRC, equation 5. As a variance is positive, the printed form
    (``"variance"``) lies in (0, 0.5). ``"log_variance"`` puts the mean of log(sigma^2)
    in the variance's place and spans (0, 1); it orders boxes alike when their four
    variances are equal.

    Args:
        log_var_N4: (..., 4) predicted log variances.
        quality_on: ``"variance"`` or ``"log_variance"``.
        limit: see :func:`limited_log_var`.

    Returns:
        (...) qualities, float32 or float64 like the input; the larger the better.

    Raises:
        ValueError: if ``quality_on`` is neither or ``limit`` is not positive.
    """
    if quality_on not in QUALITY_ON:
        raise ValueError(
            f"bbox_head.quality_on must be one of {list(QUALITY_ON)}, "
            f"not {quality_on!r}."
        )
    log_var_N4 = limited_log_var(log_var_N4, limit)
    spread_N4 = log_var_N4.exp() if quality_on == "variance" else log_var_N4
    # 1 - sigmoid(x) loses its last digits where sigmoid(x) is close to 1.
    return (-spread_N4.mean(-1)).sigmoid()
