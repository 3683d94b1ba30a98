"""How dense guidance labels proposals otherwise than label assignment would."""

from __future__ import annotations

import torch
from torch import Tensor

from ssod_mm.maths.clustering import pairwise_iou
from ssod_mm.models.dense.cluster_losses import Lesson
from ssod_mm.models.dense.clusters import DenseGuidance

_MAX_PAIRS = 2**22


def best_overlaps(
    boxes_P4: Tensor, images_P: Tensor, objects_K4: Tensor, images_K: Tensor
) -> Tensor:
    """Largest IoU (P,) of each box with the objects of its image; 0 without any."""
    if len(objects_K4) == 0:
        return boxes_P4.new_zeros(len(boxes_P4))
    best = []
    rows = max(1, _MAX_PAIRS // len(objects_K4))
    for boxes, images in zip(boxes_P4.split(rows), images_P.split(rows), strict=True):
        iou = pairwise_iou(boxes[:, None], objects_K4).nan_to_num(0.0)
        best.append((iou * (images[:, None] == images_K)).amax(1))
    return torch.cat(best) if best else boxes_P4.new_zeros(0)


def assignment_masks(
    guidance: DenseGuidance, lesson: Lesson, pos_iou_thr: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Where the clusters disagree with assigning the kept boxes by IoU.

    Figures 3 and 4 of DTG-SSOD: dense guidance suppresses proposals that overlap an
    object but that the teacher scores low, and teaches ambiguous ones that overlap it
    too little for assignment.

    Args:
        guidance: in strong-view pixels.
        lesson: what the R-CNN stage learns from it.
        pos_iou_thr: IoU from which assignment calls a proposal foreground.

    Returns:
        Largest IoU (P,) of each proposal with a visible kept box of its image; whether
        it is ambiguous (P,); whether it is suppressed (P,).
    """
    found = guidance.stages["rcnn"]
    overlaps = best_overlaps(
        guidance.proposals,
        guidance.proposal_images,
        found.kept_boxes[found.alive],
        found.images[found.kept][found.alive],
    )
    assigned = (overlaps >= pos_iou_thr) & guidance.proposals_seen
    taught = torch.zeros_like(assigned).index_fill(0, lesson.rows, True)
    return overlaps, taught & ~assigned, assigned & lesson.background


@torch.no_grad()
def assignment_shares(
    guidance: DenseGuidance, lesson: Lesson, pos_iou_thr: float
) -> dict[str, Tensor]:
    """How often; see :func:`assignment_masks`.

    Returns:
        ``ambiguous``: share of the taught proposals that assignment would make
        background; ``suppressed``: share of those that it would make foreground which
        are background here. Both 0 where there is nothing to divide.
    """
    overlaps, ambiguous, suppressed = assignment_masks(guidance, lesson, pos_iou_thr)
    taught = torch.zeros_like(ambiguous).index_fill(0, lesson.rows, True)
    assigned = (overlaps >= pos_iou_thr) & guidance.proposals_seen
    return {
        "ambiguous": ambiguous.sum() / taught.sum().clamp(min=1),
        "suppressed": suppressed.sum() / assigned.sum().clamp(min=1),
    }
