"""Box heads that take the candidates of a batch, and lose by masks.

The classes have the names of those that they stand for, as configs and messages do.
"""

from __future__ import annotations

from typing import Any

import torch
from mmdet.models.losses import CrossEntropyLoss, accuracy
from mmdet.models.roi_heads import bbox_heads
from mmdet.models.roi_heads.bbox_heads import BBoxHead
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import Tensor

from ssod_mm.models import heads
from ssod_mm.models.batched.roi_heads import BatchedSampling
from ssod_mm.models.batched.rules import box_loss, has_plain_box_loss
from ssod_mm.models.heads import FocalRoILoss, IntervalBBoxCoder


def fits_bbox_head(head: BBoxHead) -> bool:
    """Whether the batched form knows the head's coder and classification loss."""
    coders = (DeltaXYWHBBoxCoder, IntervalBBoxCoder)
    losses = (CrossEntropyLoss, FocalRoILoss)
    return type(head.bbox_coder) in coders and type(head.loss_cls) in losses


class BatchedBBoxHead(BBoxHead):
    """What is put between a box head and mmdet's ``BBoxHead``."""

    def get_targets(
        self,
        sampling_results: Any,
        rcnn_train_cfg: Any,
        concat: bool = True,
    ) -> tuple:
        """Targets of the sampled candidates, see mmdet's method.

        Args:
            sampling_results: :class:`BatchedSampling`, or mmdet's list.
            rcnn_train_cfg: ``pos_weight``.
            concat: whether images are concatenated.

        Returns:
            Labels (P,), their weights (P,), box targets (P, D) and their weights.
        """
        if not (isinstance(sampling_results, BatchedSampling) and concat):
            return super().get_targets(sampling_results, rcnn_train_cfg, concat)
        given = sampling_results
        if given.targets is not None:
            return given.targets
        foreground = given.foreground
        labels = torch.where(foreground, given.labels, self.num_classes)
        weights = torch.ones_like(foreground, dtype=given.priors.dtype)
        if rcnn_train_cfg.pos_weight > 0:
            weights = torch.where(foreground, rcnn_train_cfg.pos_weight, weights)
        targets = given.boxes
        if not self.reg_decoded_bbox:
            targets = self.bbox_coder.encode(given.priors, given.boxes)
        mask = foreground[:, None]
        targets = torch.where(mask, targets, 0.0)
        return labels, weights, targets, mask.expand_as(targets).to(targets)

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
        """Losses of the candidates, see mmdet's method.

        No row is picked out, so that the host need not wait for the device. With
        ``reduction_override="none"`` a box loss has a row for each candidate, zeros
        for background, where mmdet's leaves these out.
        """
        known = bbox_pred is None or (
            has_plain_box_loss(self) and not self.reg_decoded_bbox
        )
        by_row = cls_score is None and reduction_override == "none"
        if (reduction_override and not by_row) or not known or not len(labels):
            return super().loss(
                cls_score,
                bbox_pred,
                rois,
                labels,
                label_weights,
                bbox_targets,
                bbox_weights,
                reduction_override,
            )
        losses = {}
        if cls_score is not None:
            counted = (label_weights > 0).sum().clamp(min=1)
            loss_cls = self.loss_cls(
                cls_score, labels, label_weights, avg_factor=counted
            )
            losses.update(
                loss_cls if isinstance(loss_cls, dict) else {"loss_cls": loss_cls}
            )
            if self.custom_activation:
                losses.update(self.loss_cls.get_accuracy(cls_score, labels))
            else:
                losses["acc"] = accuracy(cls_score, labels)
        if bbox_pred is not None:
            foreground = (labels >= 0) & (labels < self.num_classes)
            if not self.reg_class_agnostic:
                per_class = bbox_pred.unflatten(1, (self.num_classes, -1))
                index = labels.clamp(0, self.num_classes - 1)[:, None, None]
                index = index.expand(-1, 1, per_class.shape[-1])
                bbox_pred = per_class.gather(1, index)[:, 0]
            losses["loss_bbox"] = box_loss(
                self.loss_bbox,
                bbox_pred,
                bbox_targets,
                bbox_weights * foreground[:, None],
                len(labels),
                reduction_override,
            )
        return losses


class ConvFCBBoxHead(bbox_heads.ConvFCBBoxHead, BatchedBBoxHead):
    """``ConvFCBBoxHead`` for all images at once."""


class Shared2FCBBoxHead(bbox_heads.Shared2FCBBoxHead, BatchedBBoxHead):
    """``Shared2FCBBoxHead`` for all images at once."""


class Shared4Conv1FCBBoxHead(bbox_heads.Shared4Conv1FCBBoxHead, BatchedBBoxHead):
    """``Shared4Conv1FCBBoxHead`` for all images at once."""


class GaussianBBoxHead(heads.GaussianBBoxHead, BatchedBBoxHead):
    """``GaussianBBoxHead`` for all images at once."""


class IntervalBBoxHead(heads.IntervalBBoxHead, BatchedBBoxHead):
    """``IntervalBBoxHead`` for all images at once."""
