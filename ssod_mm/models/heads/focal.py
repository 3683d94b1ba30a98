"""Sigmoid focal classification for MMDetection's RoI box heads.

``FocalLoss`` itself does not fit there: the head would give background a sigmoid too
and predict by a softmax over all of them. :class:`FocalRoILoss` tells the head that
there are C outputs, that background is "no class", and how to predict. Any box head
takes it, by config alone::

    bbox_head = dict(
        loss_cls=dict(type="FocalRoILoss"),
        cls_predictor_cfg=dict(type="PriorLinear"),
    )
"""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.losses import FocalLoss, accuracy
from mmdet.models.losses.focal_loss import py_sigmoid_focal_loss
from mmdet.registry import MODELS
from mmengine.model import bias_init_with_prob
from torch import Tensor, nn

from ssod_mm.errors import UserError

CLS_NORMS = ("foreground", "all")


def focal_rows(
    logits: Tensor, targets: Tensor, gamma: float = 2.0, alpha: float = 0.25
) -> Tensor:
    """Sigmoid focal loss of each candidate, summed over its classes, in float32.

    Args:
        logits: (N, C).
        targets: (N, C) in {0, 1}; a row may have several 1s.
        gamma: exponent of the focusing factor.
        alpha: weight of targets 1; targets 0 have ``1 - alpha``.

    Returns:
        (N,).
    """
    values = py_sigmoid_focal_loss(
        logits.float(), targets.float(), None, gamma, alpha, reduction="none"
    )
    return values.sum(1)


@MODELS.register_module()
class FocalRoILoss(FocalLoss):
    """Sigmoid focal loss over C classes for the ``loss_cls`` of an RoI box head.

    Args:
        gamma: exponent of the focusing factor.
        alpha: weight of the foreground outputs.
        loss_weight: factor on the loss.
        norm: ``"foreground"``, as in the focal loss paper, divides the sum over all
            candidates by the number of foreground ones (at least 1); ``"all"`` by the
            number of all candidates, as MMDetection does for softmax heads.

    Raises:
        ValueError: for another ``norm``.
    """

    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float = 0.25,
        loss_weight: float = 1.0,
        norm: str = "foreground",
    ) -> None:
        if norm not in CLS_NORMS:
            raise UserError(
                f"bbox_head.loss_cls.norm must be one of {list(CLS_NORMS)}, "
                f"not {norm!r}."
            )
        super().__init__(gamma=gamma, alpha=alpha, loss_weight=loss_weight)
        self.norm = norm

    def get_cls_channels(self, num_classes: int) -> int:
        """Outputs of the classifier: one per class, none for background."""
        return num_classes

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Class probabilities with a last column, of zeros, for background.

        Args:
            cls_score: (N, C) logits.

        Returns:
            (N, C + 1), the layout that the head's NMS expects.
        """
        scores = cls_score.sigmoid()
        return torch.cat([scores, scores.new_zeros(len(scores), 1)], dim=1)

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Percentage of candidates with the right label, background included.

        A candidate counts as background where no class reaches a half.

        Args:
            cls_score: (N, C) logits.
            labels: (N,), C for background.
        """
        background = torch.zeros_like(cls_score[:, :1])
        return {"acc": accuracy(torch.cat([cls_score, background], 1), labels)}

    def forward(
        self,
        pred: Tensor,
        target: Tensor,
        weight: Tensor | None = None,
        avg_factor: Any = None,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Loss of the candidates of a batch.

        Args:
            pred: (N, C) logits.
            target: (N,) int64, C for background; or (N, C) in {0, 1}.
            weight: (N,) weights of candidates.
            avg_factor: takes the place of the number that ``norm`` divides by where
                ``norm`` is ``"all"``.
            reduction_override: ``"none"`` gives (N, C), ``"sum"`` the sum.
        """
        pred = pred.float()
        if reduction_override is None and self.norm == "foreground":
            multi_hot = target.dim() == pred.dim()
            foreground = target.any(1) if multi_hot else target < pred.size(1)
            if weight is not None:
                foreground = foreground & (weight > 0)
            total = super().forward(pred, target, weight, None, "sum")
            return total / foreground.sum().clamp(min=1)
        return super().forward(pred, target, weight, avg_factor, reduction_override)


@MODELS.register_module()
class PriorLinear(nn.Linear):
    """Classifier whose probabilities all start at ``prior``.

    Without it a focal head's first step is spent on the background of every class.

    Args:
        *args: arguments of ``torch.nn.Linear``.
        prior: first probability of each class, in (0, 1).
        **kwargs: arguments of ``torch.nn.Linear``.
    """

    def __init__(self, *args: Any, prior: float = 0.01, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.prior = prior

    def init_weights(self) -> None:
        """Set the bias; runs after the weights of the head are drawn."""
        nn.init.constant_(self.bias, bias_init_with_prob(self.prior))
