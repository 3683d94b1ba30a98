"""The box head of certainty-aware pseudo labels: each side is an interval.

Section 2 of *Rethinking Pseudo Labels for Semi-Supervised Object Detection* (arXiv
2106.00168); the equations are in :mod:`ssod_mm.maths.intervals`.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from mmdet.models.roi_heads.bbox_heads import Shared2FCBBoxHead
from mmdet.models.task_modules.coders import BaseBBoxCoder
from mmdet.registry import MODELS, TASK_UTILS
from mmdet.structures.bbox import BaseBoxes, get_box_tensor
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.maths.intervals import (
    DECODES,
    decode_sides,
    encode_sides,
    interval_losses,
    localisation_certainty,
    offset_losses,
)
from ssod_mm.models.heads.quality import LocQualityHead

LOSS_NORMS = ("sampled", "foreground")


@TASK_UTILS.register_module()
class IntervalBBoxCoder(BaseBBoxCoder):
    """Boxes from and to intervals of the segments across a candidate's sides.

    Args:
        num_intervals: K, intervals of each of the four segments.
        segment_scale: length of a segment in extents of the candidate.
        clip_border: whether decoded boxes are clipped to the image.
        decode: ``"argmax"`` or ``"expected"``, see
            :func:`~ssod_mm.maths.intervals.decode_sides`.
        **kwargs: for mmdet's base class.

    Raises:
        ValueError: for a number of intervals below 1, a scale that is not positive, or
            an unknown ``decode``.
    """

    def __init__(
        self,
        num_intervals: int = 30,
        segment_scale: float = 1.0,
        clip_border: bool = True,
        decode: str = "argmax",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if decode not in DECODES:
            raise UserError(
                f"bbox_head.decode must be one of {list(DECODES)}, not {decode!r}."
            )
        if int(num_intervals) != num_intervals or num_intervals < 1:
            raise UserError(
                "bbox_head.num_intervals must be a whole number of 1 or more, not "
                f"{num_intervals!r}."
            )
        if not segment_scale > 0:
            raise UserError(
                "bbox_head.segment_scale must be positive (1.0 makes each segment as "
                f"long as the candidate box), not {segment_scale!r}."
            )
        self.num_intervals = int(num_intervals)
        self.segment_scale = float(segment_scale)
        self.clip_border = clip_border
        self.decode_by = decode
        self.encode_size = 8 * self.num_intervals

    def split(self, bbox_pred: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and offsets, each (N, 4, K) float32, of predictions (N, 8 K)."""
        outputs = bbox_pred.float().reshape(-1, 2, 4, self.num_intervals)
        return outputs[:, 0], outputs[:, 1]

    def encode(
        self, bboxes: Tensor | BaseBoxes, gt_bboxes: Tensor | BaseBoxes
    ) -> tuple[Tensor, Tensor]:
        """True intervals and offsets; see :func:`encode_sides`.

        Args:
            bboxes: (N, 4) candidates.
            gt_bboxes: (N, 4) true boxes.

        Returns:
            (N, 4) int64 and (N, 4) float32.
        """
        return encode_sides(
            get_box_tensor(bboxes),
            get_box_tensor(gt_bboxes),
            self.num_intervals,
            self.segment_scale,
        )

    def decode(
        self,
        bboxes: Tensor | BaseBoxes,
        pred_bboxes: Tensor,
        max_shape: tuple[int, ...] | Tensor | None = None,
    ) -> Tensor:
        """Predicted boxes; see :func:`decode_sides`.

        Args:
            bboxes: (N, 4) candidates.
            pred_bboxes: (N, 8 K) outputs of the box branch.
            max_shape: height and width of the image, or a tensor (N, 4) of width,
                height, width, height for each candidate; None does not clip.

        Returns:
            (N, 4) float32 xyxy in pixels.
        """
        boxes = decode_sides(
            get_box_tensor(bboxes),
            *self.split(pred_bboxes),
            self.segment_scale,
            self.decode_by,
        )
        if self.clip_border and max_shape is not None:
            if isinstance(max_shape, Tensor):
                return torch.minimum(boxes.clamp_(min=0), max_shape.to(boxes))
            height, width = max_shape[:2]
            boxes[:, 0::2].clamp_(min=0, max=width)
            boxes[:, 1::2].clamp_(min=0, max=height)
        return boxes


@MODELS.register_module()
class IntervalBBoxHead(LocQualityHead, Shared2FCBBoxHead):
    """Box head that classifies intervals of each side and refines within them.

    Takes the place of ``Shared2FCBBoxHead`` in any two-stage detector of MMDetection,
    cascades included, by a change of the config's ``type``: the plain head's
    ``bbox_coder``, ``loss_bbox``, ``reg_class_agnostic`` and ``reg_decoded_bbox`` are
    replaced. The box branch is class-agnostic and gives 8 K numbers per RoI: 4 x K
    interval logits, then 4 x K offsets.

    Losses are ``loss_bbox_seg`` (eq. 3) and ``loss_bbox_reg`` (second term of eq. 5),
    each weighted by ``bbox_weights`` per candidate and side, so that a method's class
    weights pass through them; a weight changes the loss and not its normaliser.

    ``loss_norm="sampled"`` sums over the sides and divides by all sampled candidates,
    as MMDetection's plain head does. ``"foreground"`` is the mean over the foreground
    candidates and their four sides. With a quarter of the samples foreground, the
    sampler's upper limit, the two are equal; with fewer the second gives the box loss
    more weight against classification. With K = 30 both start at about log K + 1 =
    4.4 per foreground side, where the plain head's L1 starts near 1, and have similar
    gradients.

    Args:
        *args: arguments of ``Shared2FCBBoxHead``.
        num_intervals: K.
        segment_scale: length of a segment in extents of the candidate.
        decode: how sides are found from the intervals, ``"argmax"`` or ``"expected"``;
            see :func:`~ssod_mm.maths.intervals.decode_sides`.
        positive_only: eq. 3 as printed, without the intervals that are wrong.
        seg_weight: weight of the interval loss.
        reg_weight: weight of the offset loss.
        reg_beta: where smooth L1 turns linear, in interval widths.
        loss_norm: ``"sampled"`` or ``"foreground"``.
        score_factor: ranking by p and certainty v; see ``LocQualityHead``.
        **kwargs: arguments of ``Shared2FCBBoxHead``.

    Raises:
        ValueError: for an unknown ``loss_norm`` or ``score_factor``, for intervals
            that make no segment, or for a weight given to the replaced ``loss_bbox``.
    """

    def __init__(
        self,
        *args: Any,
        num_intervals: int = 30,
        segment_scale: float = 1.0,
        decode: str = "argmax",
        positive_only: bool = False,
        seg_weight: float = 1.0,
        reg_weight: float = 1.0,
        reg_beta: float = 1.0,
        loss_norm: str = "sampled",
        score_factor: str = "p*v",
        **kwargs: Any,
    ) -> None:
        if loss_norm not in LOSS_NORMS:
            raise UserError(
                f"bbox_head.loss_norm must be one of {list(LOSS_NORMS)}, not "
                f"{loss_norm!r}."
            )
        replaced = kwargs.pop("loss_bbox", None) or {}
        if replaced.get("loss_weight", 1.0) != 1.0:
            raise UserError(
                "bbox_head.loss_bbox has no effect on IntervalBBoxHead: set its "
                "seg_weight and reg_weight in place of loss_bbox.loss_weight."
            )
        coder = dict(
            type="IntervalBBoxCoder",
            num_intervals=num_intervals,
            segment_scale=segment_scale,
            decode=decode,
        )
        kwargs.update(bbox_coder=coder, reg_class_agnostic=True, reg_decoded_bbox=True)
        super().__init__(*args, score_factor=score_factor, **kwargs)
        self.positive_only = positive_only
        self.seg_weight = seg_weight
        self.reg_weight = reg_weight
        self.reg_beta = reg_beta
        self.loss_norm = loss_norm

    def init_weights(self) -> None:
        """Initialise; intervals start with probability 1 / K, sides stay in place.

        The middle intervals start a little higher, so that an untrained head gives
        the candidates back, as the plain head does: a cascade's next stage needs that.
        """
        fresh = not self.is_init
        super().init_weights()
        num_intervals = self.bbox_coder.num_intervals
        if fresh and num_intervals > 1:
            with torch.no_grad():
                bias = self.fc_reg.bias[: 4 * num_intervals].view(4, num_intervals)
                bias.fill_(-math.log(num_intervals - 1))
                bias[:, (num_intervals - 1) // 2 : num_intervals // 2 + 1] += 0.5

    def loc_quality(self, bbox_pred: Tensor, rois: Tensor) -> Tensor:
        """Certainty v of eq. 4, (N,)."""
        return localisation_certainty(self.bbox_coder.split(bbox_pred)[0])

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
        """Classification and box losses of the sampled candidates.

        Args:
            cls_score: (R, C + 1) logits, or None for the box losses alone.
            bbox_pred: (R, 8 K), or None for the classification loss alone.
            rois: (R, 5), image index and xyxy.
            labels: (R,) int64; C is background.
            label_weights: (R,) weights of the classification loss.
            bbox_targets: (R, 4) true boxes of the foreground candidates, in pixels.
            bbox_weights: (R, 4) weights of the box losses; 0 for background.
            reduction_override: ``"none"`` gives the weighted losses per candidate and
                side, ``"sum"`` their sums, None and ``"mean"`` the normalised ones.

        Returns:
            ``loss_cls``, ``loss_bbox_seg`` and ``loss_bbox_reg``; ``acc``, and
            ``interval_acc``: percentage of foreground sides in the right interval.
        """
        losses = super().loss(
            cls_score,
            None,
            rois,
            labels,
            label_weights,
            bbox_targets,
            bbox_weights,
            reduction_override=reduction_override,
        )
        if bbox_pred is None:
            return losses
        # Background rows get a harmless target and no weight: picking out foreground
        # rows would make the host wait for the device.
        foreground = ((labels >= 0) & (labels < self.num_classes))[:, None]
        boxes = rois[:, 1:]
        indices, offset_targets = self.bbox_coder.encode(
            boxes, torch.where(foreground, bbox_targets.to(boxes), boxes)
        )
        logits, offsets = self.bbox_coder.split(bbox_pred)
        weights = bbox_weights * foreground
        num_foreground = foreground.sum()
        per_side = {
            "loss_bbox_seg": self.seg_weight
            * interval_losses(logits, indices, self.positive_only),
            "loss_bbox_reg": self.reg_weight
            * offset_losses(offsets, indices, offset_targets, self.reg_beta),
        }
        for name, values in per_side.items():
            values = values * weights
            if reduction_override != "none":
                values = values.sum()
            if reduction_override in (None, "mean"):
                values = values / self._normaliser(num_foreground, len(rois))
            losses[name] = values
        right = (logits.argmax(-1) == indices) & foreground
        losses["interval_acc"] = 25.0 * right.sum() / num_foreground.clamp(min=1)
        return losses

    def _normaliser(self, num_foreground: Tensor, num_sampled: int) -> Tensor | int:
        if self.loss_norm == "sampled":
            return max(num_sampled, 1)
        return 4 * num_foreground.clamp(min=1)
