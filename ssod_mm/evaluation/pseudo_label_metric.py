"""Precision, recall and IoU of pseudo labels against the true boxes.

Shape legend: P pseudo boxes, T true boxes, C classes; all images of a batch together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.errors import UserError


@dataclass(frozen=True)
class PseudoLabelCounts:
    """Matches between pseudo labels and truth, to be added up over batches and ranks.

    Attributes:
        table: (C, 4) float64 per class: true positives, false positives, false
            negatives (truth without a pseudo label), sum of the matches' IoU.
    """

    table: Tensor

    @classmethod
    def zeros(cls, num_classes: int) -> PseudoLabelCounts:
        """Counts of nothing."""
        return cls(torch.zeros(num_classes, 4, dtype=torch.float64))

    def __add__(self, other: PseudoLabelCounts) -> PseudoLabelCounts:
        return PseudoLabelCounts(self.table + other.table)

    @property
    def overall(self) -> PseudoLabelCounts:
        """The counts of all classes together, as one class."""
        return PseudoLabelCounts(self.table.sum(0, keepdim=True))

    @property
    def precisions(self) -> Tensor:
        """Share of the pseudo labels that are right, (C,); NaN without any."""
        hit, wrong = self.table[:, 0], self.table[:, 1]
        return hit / (hit + wrong)

    @property
    def recalls(self) -> Tensor:
        """Share of the true boxes that have a pseudo label, (C,); NaN without any."""
        hit, missed = self.table[:, 0], self.table[:, 2]
        return hit / (hit + missed)

    @property
    def mean_ious(self) -> Tensor:
        """Mean IoU of the matches, (C,); NaN without any."""
        return self.table[:, 3] / self.table[:, 0]


def greedy_match(ious_PT: Tensor, scores_P: Tensor, iou_thr: float) -> Tensor:
    """Match boxes to truth: highest score first, each takes its best free truth.

    There is no loop over boxes: every box proposes to its best truth, a truth
    keeps the proposer of the highest score, the refused ones propose to their next
    best, until nobody is refused. As all truths rank the boxes alike, this ends in
    exactly the matching of the sequential rule.

    Args:
        ious_PT: (P, T) IoU; a negative value forbids the pair.
        scores_P: (P,) scores; of equal ones the earlier box goes first.
        iou_thr: least IoU of a match, in (0, 1].

    Returns:
        (P,) int64 index of the matched truth, -1 for none.

    Raises:
        ValueError: ``iou_thr`` out of range.
    """
    if not 0 < iou_thr <= 1:
        raise UserError(f"iou_thr={iou_thr} must lie in (0, 1].")
    num_boxes, num_truths = ious_PT.shape
    matched_P = ious_PT.new_full((num_boxes,), -1, dtype=torch.long)
    if num_boxes == 0 or num_truths == 0:
        return matched_P
    order_P = scores_P.argsort(descending=True, stable=True)
    rank_P = torch.arange(num_boxes, device=ious_PT.device)
    open_PT = ious_PT[order_P].masked_fill(ious_PT[order_P] < iou_thr, -1.0)
    while True:
        best_P, choice_P = open_PT.max(dim=1)
        proposes_P = best_P > 0
        # boxes without a truth left propose to a truth that does not exist
        choice_P = torch.where(proposes_P, choice_P, num_truths)
        keeper_T = rank_P.new_full((num_truths + 1,), num_boxes)
        keeper_T.scatter_reduce_(0, choice_P, rank_P, reduce="amin")
        refused_P = proposes_P & (keeper_T[choice_P] != rank_P)
        if not refused_P.any():
            break
        open_PT[rank_P[refused_P], choice_P[refused_P]] = -1.0
    matched_P[order_P] = torch.where(proposes_P, choice_P, -1)
    return matched_P


def count_matches(
    pseudo: Sequence[InstanceData],
    truth: Sequence[InstanceData],
    num_classes: int,
    iou_thr: float = 0.5,
) -> PseudoLabelCounts:
    """Compare the pseudo labels of a batch with the truth, class by class.

    A pseudo label without a match that lies on an ignored truth of its class (a crowd,
    a box marked difficult) counts neither as right nor as wrong.

    Args:
        pseudo: per image ``bboxes`` (N, 4) xyxy, ``scores`` (N,), ``labels`` (N,).
        truth: per image ``bboxes`` (M, 4) xyxy in the same pixels, ``labels`` (M,) and
            optionally ``ignored`` (M,) bool.
        num_classes: labels lie in [0, num_classes).
        iou_thr: least IoU of a match, in (0, 1].

    Returns:
        The counts, on the CPU.

    Raises:
        ValueError: lists of different length, or ``iou_thr`` out of range.
    """
    if len(pseudo) != len(truth):
        raise UserError(
            f"Pseudo labels of {len(pseudo)} images, but truth of {len(truth)}."
        )
    if not pseudo:
        return PseudoLabelCounts.zeros(num_classes)
    boxes_P4, labels_P, image_P = _joined(pseudo)
    boxes_T4, labels_T, image_T = _joined(truth)
    scores_P = torch.cat([instances.scores.detach().cpu() for instances in pseudo])
    ignored_T = torch.cat(
        [
            instances.get(
                "ignored", torch.zeros(len(instances.labels), dtype=torch.bool)
            ).cpu()
            for instances in truth
        ]
    )
    ious_PT = bbox_overlaps(boxes_P4, boxes_T4)
    same_PT = (labels_P[:, None] == labels_T) & (image_P[:, None] == image_T)
    ious_PT = ious_PT.masked_fill(~same_PT, -1.0)
    matched_P = greedy_match(ious_PT.masked_fill(ignored_T, -1.0), scores_P, iou_thr)
    hit_P = matched_P >= 0
    excused_P = ((ious_PT >= iou_thr) & ignored_T).any(1) & ~hit_P
    found_T = torch.zeros_like(ignored_T)
    found_T[matched_P[hit_P]] = True

    def per_class(labels: Tensor, weights: Tensor | None = None) -> Tensor:
        return torch.bincount(labels, weights, minlength=num_classes).double()

    iou_hits = ious_PT[hit_P].gather(1, matched_P[hit_P, None])[:, 0]
    return PseudoLabelCounts(
        torch.stack(
            [
                per_class(labels_P[hit_P]),
                per_class(labels_P[~hit_P & ~excused_P]),
                per_class(labels_T[~found_T & ~ignored_T]),
                per_class(labels_P[hit_P], iou_hits.double()),
            ],
            dim=1,
        )
    )


def _joined(instances: Sequence[InstanceData]) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, labels and image numbers of all images, on the CPU."""
    boxes = torch.cat(
        [
            image_instances.bboxes.detach().reshape(-1, 4)
            for image_instances in instances
        ]
    )
    labels = torch.cat(
        [image_instances.labels.detach() for image_instances in instances]
    )
    numbers = torch.arange(len(instances)).repeat_interleave(
        torch.tensor([len(image_instances.labels) for image_instances in instances])
    )
    return boxes.float().cpu(), labels.long().cpu(), numbers
