"""mmdet's assigners, samplers, coders and losses as the batched heads read them."""

from __future__ import annotations

import math
from typing import Any

import torch
from mmdet.models.losses import CrossEntropyLoss, L1Loss, SmoothL1Loss
from mmdet.models.losses.smooth_l1_loss import l1_loss, smooth_l1_loss
from mmdet.models.task_modules.assigners import BboxOverlaps2D, MaxIoUAssigner
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.samplers import RandomSampler
from mmdet.structures.bbox import get_box_tensor
from torch import Tensor, nn

from ssod_mm.maths.assignment import AssignRule, SampleRule
from ssod_mm.maths.deltas import decode_deltas, encode_deltas
from ssod_mm.models.assigners import IgnoringMaxIoUAssigner
from ssod_mm.models.batched.padding import constant


def assign_rule(assigner: Any) -> AssignRule | None:
    """The rule of an IoU assigner; None of any other."""
    if type(assigner) not in (MaxIoUAssigner, IgnoringMaxIoUAssigner):
        return None
    calculator = assigner.iou_calculator
    plain = type(calculator) is BboxOverlaps2D and calculator.dtype is None
    if not plain or assigner.perm_repeat_gt_cfg is not None:
        return None
    low_high = assigner.neg_iou_thr
    if not isinstance(low_high, tuple):
        low_high = (0.0, low_high)
    return AssignRule(
        pos_iou_thr=assigner.pos_iou_thr,
        neg_iou_range=low_high,
        min_pos_iou=assigner.min_pos_iou,
        match_low_quality=assigner.match_low_quality,
        gt_max_assign_all=assigner.gt_max_assign_all,
        ignore_iof_thr=assigner.ignore_iof_thr,
        ignore_wrt_candidates=assigner.ignore_wrt_candidates,
        ignore_without_boxes=type(assigner) is IgnoringMaxIoUAssigner,
    )


def sample_rule(sampler: Any) -> SampleRule | None:
    """The rule of a random sampler; None of any other."""
    if type(sampler) is not RandomSampler:
        return None
    num_pos = int(sampler.num * sampler.pos_fraction)
    return SampleRule(sampler.num, num_pos, sampler.neg_pos_ub)


class DeviceDeltaCoder(DeltaXYWHBBoxCoder):
    """``DeltaXYWHBBoxCoder`` whose constants are uploaded once, not at each call."""

    def encode(self, bboxes: Any, gt_bboxes: Any) -> Tensor:
        """Deltas (N, 4) of boxes (N, 4), see mmdet's method."""
        priors, boxes = get_box_tensor(bboxes), get_box_tensor(gt_bboxes)
        return encode_deltas(priors, boxes, *self._constants(priors, torch.float32))

    def decode(
        self,
        bboxes: Any,
        pred_bboxes: Tensor,
        max_shape: Any = None,
        wh_ratio_clip: float = 16 / 1000,
    ) -> Tensor:
        """Boxes (N, 4 C) of deltas (N, 4 C), see mmdet's method.

        ``max_shape`` may be a tensor (N, 4) of width, height, width, height for each
        candidate.
        """
        plain = self.use_box_type or self.add_ctr_clamp or pred_bboxes.dim() != 2
        if plain or not len(pred_bboxes):
            return super().decode(bboxes, pred_bboxes, max_shape, wh_ratio_clip)
        boxes = decode_deltas(
            get_box_tensor(bboxes)[:, None],
            pred_bboxes.unflatten(1, (-1, 4)),
            *self._constants(pred_bboxes, pred_bboxes.dtype),
            abs(math.log(wh_ratio_clip)),
        )
        if self.clip_border and max_shape is not None:
            if not isinstance(max_shape, Tensor):
                height, width = max_shape[:2]
                max_shape = constant((width, height) * 2, boxes.device)[None]
            boxes = torch.minimum(boxes.clamp_(min=0), max_shape[:, None].to(boxes))
        return boxes.flatten(1)

    def _constants(self, like: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        means, stds = tuple(self.means), tuple(self.stds)
        return (
            constant(means, like.device, dtype),
            constant(stds, like.device, dtype),
        )


def box_loss(
    loss: nn.Module,
    pred: Tensor,
    target: Tensor,
    weight: Tensor,
    avg_factor: Any = None,
    reduction_override: str | None = None,
) -> Tensor:
    """A box head's loss; of the two plain ones without a look at the weights."""
    reduction = reduction_override or loss.reduction
    given = dict(reduction=reduction, avg_factor=avg_factor)
    if type(loss) is L1Loss:
        value = l1_loss(pred, target, weight, **given)
    else:
        assert type(loss) is SmoothL1Loss
        value = smooth_l1_loss(pred, target, weight, beta=loss.beta, **given)
    return value if loss.loss_weight == 1 else loss.loss_weight * value


def has_plain_box_loss(head: nn.Module) -> bool:
    """Whether :func:`box_loss` knows the head's loss."""
    return type(head.loss_bbox) in (L1Loss, SmoothL1Loss)


def cls_loss(
    loss: nn.Module, logits: Tensor, labels: Tensor, weights: Tensor
) -> Tensor:
    """Elements of an anchor head's classification loss; by masks, mmdet picks rows.

    Args:
        loss: the head's ``loss_cls``.
        logits: (P, C).
        labels: (P,), C for background.
        weights: (P,).

    Returns:
        (P, C), weighted.
    """
    if type(loss) is CrossEntropyLoss and loss.use_sigmoid:
        classes = torch.arange(logits.shape[1], device=logits.device)
        labels, weights = (labels[:, None] == classes).long(), weights[:, None]
    return loss(logits, labels, weights, reduction_override="none")
