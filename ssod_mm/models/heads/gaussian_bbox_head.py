"""A box head that predicts each box as a Gaussian: mean and log variance per delta.

The box branch's output holds both side by side, (N, 2 D): D mean deltas as of
MMDetection's head (D = 4, or 4 C with boxes per class), then D log variances in the
same order. It passes as one tensor through every RoI head that MMDetection has.
"""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.registry import MODELS
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ssod_mm.errors import UserError
from ssod_mm.maths.gaussians import (
    LOG_VAR_LIMIT,
    Limit,
    gaussian_kl_loss,
    limited_log_var,
    localization_quality,
)
from ssod_mm.maths.reweighting import REG_NORMS
from ssod_mm.models.heads.answers import PseudoLossHead
from ssod_mm.models.heads.quality import LocQualityHead


@MODELS.register_module()
class GaussianLinear(nn.Linear):
    """A linear layer of means beside a linear layer of log variances.

    The weights of the means keep the names of a plain box branch, so that the
    checkpoint of a detector without variances can be loaded.

    Args:
        in_features: width of the input.
        out_features: number of means, and of log variances.
        log_var_std: standard deviation of the log variances' initial weights; their
            biases start at 0, all variances near 1.
    """

    def __init__(
        self, in_features: int, out_features: int, log_var_std: float = 1e-4
    ) -> None:
        super().__init__(in_features, out_features)
        self.log_var = nn.Linear(in_features, out_features)
        self.log_var_std = log_var_std
        self.init_weights()

    def init_weights(self) -> None:
        """Set the weights of the log variances; the head sets those of the means."""
        nn.init.normal_(self.log_var.weight, std=self.log_var_std)
        nn.init.zeros_(self.log_var.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Means and log variances (N, 2 out_features) of features (N, in_features)."""
        return torch.cat([super().forward(features), self.log_var(features)], dim=1)


class GaussianBoxBranch(PseudoLossHead):
    """Mixin: a box branch with log variances, trained by the KL loss.

    :meth:`loss` is for true boxes. :meth:`unlabelled_loss` is the loss for pseudo
    labels: ``loss_bbox`` of the means, which leaves the variances alone, because wrong
    boxes would teach wrong variances.

    Args:
        *args: arguments of the box head.
        kl_weight: factor on the KL loss.
        loss_norm: the KL loss of a candidate is the sum over its four deltas. The
            loss is the mean of these sums over the ``"foreground"`` candidates
            (LER/PRC, equation 10), or their sum divided by the number of all
            ``"sampled"`` candidates, as in MMDetection.
        log_var_limit: log variances are held within plus and minus this, or within a
            pair (least, largest). Without a bound below, the loss grows ever steeper
            as the labelled images are learnt by heart, and training breaks down.
        **kwargs: arguments of the box head.

    Raises:
        ValueError: for an argument out of range; names the config key.
    """

    def __init__(
        self,
        *args: Any,
        kl_weight: float = 1.0,
        loss_norm: str = "foreground",
        log_var_limit: Limit = LOG_VAR_LIMIT,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault("reg_predictor_cfg", dict(type="GaussianLinear"))
        super().__init__(*args, **kwargs)
        if self.reg_decoded_bbox:
            raise UserError(
                "bbox_head.reg_decoded_bbox must be False: the variances are those of "
                "the box coder's deltas."
            )
        if loss_norm not in REG_NORMS:
            raise UserError(
                f"bbox_head.loss_norm must be one of {list(REG_NORMS)}, "
                f"not {loss_norm!r}."
            )
        limited_log_var(torch.zeros(0), log_var_limit)
        self.kl_weight = kl_weight
        self.loss_norm = loss_norm
        self.log_var_limit = log_var_limit

    def means(self, bbox_pred: Tensor) -> Tensor:
        """The mean deltas (N, D) in a box branch's output (N, 2 D)."""
        return bbox_pred[:, : bbox_pred.shape[1] // 2]

    def log_variances(self, bbox_pred: Tensor) -> Tensor:
        """The log variances (N, D) in a box branch's output, as predicted."""
        return bbox_pred[:, bbox_pred.shape[1] // 2 :]

    def variances(self, bbox_pred: Tensor) -> Tensor:
        """The variances (N, D) in a box branch's output, limited, float32."""
        return limited_log_var(self.log_variances(bbox_pred), self.log_var_limit).exp()

    def loss(
        self,
        cls_score: Tensor | None,
        bbox_pred: Tensor | None,
        rois: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        bbox_weights: Tensor,
        reduction_override: str | None = None,
    ) -> dict[str, Tensor]:
        """Losses of candidates with true boxes.

        Args:
            cls_score: (N, C + 1) logits, or None for the box loss alone.
            bbox_pred: (N, 2 D), or None for the classification loss alone.
            rois: (N, 5).
            labels: (N,) classes, C for background.
            label_weights: (N,).
            bbox_targets: (N, 4) deltas.
            bbox_weights: (N, 4).
            reduction_override: ``"none"`` gives the weighted losses per candidate and
                delta, ``"sum"`` their sums, None and ``"mean"`` the normalised ones.

        Returns:
            mmdet's ``loss_cls`` and ``acc``, and the KL loss as ``loss_bbox``.
        """
        losses = super().loss(
            cls_score,
            None,
            rois,
            labels,
            label_weights,
            bbox_targets,
            bbox_weights,
            reduction_override,
        )
        if bbox_pred is None:
            return losses
        foreground = (labels >= 0) & (labels < self.num_classes)
        # Every candidate is computed, background ones at weight 0: choosing rows would
        # make the host wait for the device.
        loss = gaussian_kl_loss(
            self._of_class(self.means(bbox_pred), labels),
            self._of_class(self.log_variances(bbox_pred), labels),
            bbox_targets,
            self.log_var_limit,
        )
        loss = torch.where(foreground[:, None], loss * bbox_weights, 0.0)
        loss = self.kl_weight * loss
        if reduction_override != "none":
            loss = loss.sum()
        if reduction_override in (None, "mean"):
            sampled = max(len(labels), 1)
            counted = foreground.sum().clamp(min=1)
            loss = loss / (counted if self.loss_norm == "foreground" else sampled)
        losses["loss_bbox"] = loss
        return losses

    def unlabelled_loss(
        self, cls_score: Tensor | None, bbox_pred: Tensor, *args: Any, **kwargs: Any
    ) -> dict[str, Tensor]:
        """Losses of candidates with pseudo labels: mmdet's losses, on the means.

        Whatever ``loss_norm`` is, they are divided by all sampled candidates.
        """
        return super().loss(cls_score, self.means(bbox_pred), *args, **kwargs)

    def regress_by_class(
        self, priors: Tensor, label: Tensor, bbox_pred: Tensor, img_meta: dict
    ) -> Tensor:
        """Boxes for the next cascade stage, from the means."""
        return super().regress_by_class(priors, label, self.means(bbox_pred), img_meta)

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> InstanceData:
        means = self.means(bbox_pred).contiguous()
        return super()._predict_by_feat_single(roi, cls_score, means, *args, **kwargs)

    def _of_class(self, values: Tensor, labels: Tensor) -> Tensor:
        """The (N, 4) of each candidate's class out of (N, 4 C); any for background."""
        if self.reg_class_agnostic:
            return values
        per_class = values.unflatten(1, (self.num_classes, 4))
        index = labels.clamp(0, self.num_classes - 1)[:, None, None]
        return per_class.gather(1, index.expand(-1, 1, 4))[:, 0]


@MODELS.register_module()
class GaussianBBoxHead(LocQualityHead, GaussianBoxBranch, Shared2FCBBoxHead):
    """``Shared2FCBBoxHead`` with Gaussian boxes and a localisation quality.

    Takes the place of ``Shared2FCBBoxHead`` in any RoI head; supervised training uses
    the KL loss. ``loss_bbox`` is the loss of pseudo labels (see
    :meth:`GaussianBoxBranch.unlabelled_loss`).

    Args:
        *args: arguments of ``Shared2FCBBoxHead``.
        quality_on: localisation quality from the ``"variance"`` or the
            ``"log_variance"``, see
            :func:`~ssod_mm.maths.gaussians.localization_quality`.
        score_factor: what detections are ranked by, see :class:`LocQualityHead`. The
            method ranks by the class probability.
        **kwargs: arguments of :class:`GaussianBoxBranch` and
            ``Shared2FCBBoxHead``.
    """

    def __init__(
        self,
        *args: Any,
        quality_on: str = "variance",
        score_factor: str = "p",
        **kwargs: Any,
    ) -> None:
        localization_quality(torch.zeros(0, 4), quality_on)
        super().__init__(*args, score_factor=score_factor, **kwargs)
        self.quality_on = quality_on

    def loc_quality(self, bbox_pred: Tensor, rois: Tensor | None = None) -> Tensor:
        """Localisation quality of the predicted boxes.

        Args:
            bbox_pred: the box branch's output (N, 2 D).
            rois: not used.

        Returns:
            float32 in [0, 1]: (N,) for class-agnostic boxes, else (N, C).
        """
        log_var = self.log_variances(bbox_pred).float().unflatten(1, (-1, 4))
        quality = localization_quality(log_var, self.quality_on, self.log_var_limit)
        return quality[:, 0] if self.reg_class_agnostic else quality
