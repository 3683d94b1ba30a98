"""Boxes as Gaussians: regression loss with a learnt variance, localisation quality.

From "Semi-Supervised Object Detection via Dynamic Reweighting of Localization Error"
(LER/PRC), sections 3.2 and 3.3. A box is four independent Gaussians over its deltas;
the network predicts the means and ``log(sigma^2)``.

Shape legend: N boxes, 4 box deltas. Deltas are those of the box coder, divided by its
standard deviations, so they and the variances have no unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import smooth_l1_loss

from ssod_mm.errors import UserError

# A precision of e^4 on the error is as steep a loss as SGD at the usual learning rates
# follows on labels that a detector has learnt by heart; at e^7 training breaks down.
LOG_VAR_LIMIT = 4.0
QUALITY_ON = ("variance", "log_variance")

Limit = float | Sequence[float]
"""A largest absolute value, or a least and a largest value around 0."""


def _bounds(limit: Limit) -> tuple[float, float]:
    low, high = limit if isinstance(limit, Sequence) else (-limit, limit)
    if not low < 0 < high:
        raise UserError(
            "bbox_head.log_var_limit must be positive, or a pair around 0 such as "
            f"(-4, 1), not {limit}."
        )
    return float(low), float(high)


class _InwardClamp(torch.autograd.Function):
    """A clamp that keeps those gradients beyond its limits that lead back inside."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.bounds = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (values,) = ctx.saved_tensors
        low, high = ctx.bounds
        outward = (values > high) & (grad < 0) | (values < low) & (grad > 0)
        return grad.masked_fill(outward, 0.0), None, None


def limited_log_var(log_var: Tensor, limit: Limit = LOG_VAR_LIMIT) -> Tensor:
    """Log variances held within ``[-limit, limit]``, or within the pair ``limit``.

    Beyond a limit the gradient is kept where a descent leads back inside. A plain
    clamp would have none: a value once outside would stay there.

    Args:
        log_var: predicted ``log(sigma^2)``, any shape.
        limit: largest absolute value, > 0, or least and largest value around 0.

    Returns:
        float32 (float64 for float64) of the same shape; empty for an empty input.

    Raises:
        ValueError: if ``limit`` is not positive, or no pair around 0.
    """
    bounds = _bounds(limit)
    log_var = log_var if log_var.dtype == torch.float64 else log_var.float()
    return _InwardClamp.apply(log_var, *bounds)


def gaussian_kl_loss(
    pred_N4: Tensor,
    log_var_N4: Tensor,
    target_N4: Tensor,
    limit: Limit = LOG_VAR_LIMIT,
) -> Tensor:
    """KL divergence of the predicted Gaussian from the true box, smooth in its tails.

    With d = |target - pred| and s = log(sigma^2): ``exp(-s) d^2 / 2 + s / 2`` where
    d <= 1 and ``exp(-s) (d - 1/2) + s / 2`` beyond. Constants are left out, so the loss
    may be negative; it is at least half the least log variance.

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
    limit: Limit = LOG_VAR_LIMIT,
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
        raise UserError(
            f"bbox_head.quality_on must be one of {list(QUALITY_ON)}, "
            f"not {quality_on!r}."
        )
    log_var_N4 = limited_log_var(log_var_N4, limit)
    spread_N4 = log_var_N4.exp() if quality_on == "variance" else log_var_N4
    # 1 - sigmoid(x) loses its last digits where sigmoid(x) is close to 1.
    return (-spread_N4.mean(-1)).sigmoid()
