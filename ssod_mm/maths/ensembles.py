"""Joint detections of several detectors.

Shape legend: N boxes of all detectors together, K of them that NMS kept, M detectors.
"""

from __future__ import annotations

import torch
from torch import Tensor


def member_matches(
    ious_KN: Tensor,
    same_class_KN: Tensor,
    scores_N: Tensor,
    members_N: Tensor,
    num_members: int,
    iou_thr: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """Each detector's version of the kept boxes.

    A detector's version of a kept box is its highest-scoring box of that class with an
    IoU of at least ``iou_thr``.

    Args:
        ious_KN: (K, N) IoU of kept boxes and all boxes.
        same_class_KN: (K, N) whether they are of one class.
        scores_N: (N,) scores in [0, 1].
        members_N: (N,) int64 detector of each box, in [0, M).
        num_members: M.
        iou_thr: least IoU.

    Returns:
        (K, M) int64 indices among the N boxes, arbitrary where there is none, and
        (K, M) bool whether there is one. K = 0 gives empty tensors.
    """
    num_kept, num_boxes = ious_KN.shape
    if num_boxes == 0:
        none_KM = ious_KN.new_zeros(num_kept, num_members)
        return none_KM.long(), none_KM.bool()
    matches_KN = (ious_KN >= iou_thr) & same_class_KN
    own_MN = members_N == torch.arange(num_members, device=members_N.device)[:, None]
    allowed_KMN = matches_KN[:, None] & own_MN
    ranked_KMN = torch.where(allowed_KMN, scores_N, scores_N.new_tensor(-1.0))
    best_KM, index_KM = ranked_KMN.max(dim=2)
    return index_KM, best_KM >= 0


def mean_over_members(
    values_N: Tensor, index_KM: Tensor, found_KM: Tensor, missing_as_zero: bool
) -> Tensor:
    """Mean of a value over the detectors' versions of each kept box.

    Args:
        values_N: (N,) a value of every box.
        index_KM: (K, M) from :func:`member_matches`.
        found_KM: (K, M) from :func:`member_matches`.
        missing_as_zero: whether a detector without a version counts as 0; otherwise
            the mean is over those that have one (0 where nobody has).

    Returns:
        (K,) means.
    """
    if values_N.numel() == 0:
        return values_N.new_zeros(index_KM.shape[0])
    sums_K = (values_N[index_KM] * found_KM).sum(1)
    if missing_as_zero:
        return sums_K / index_KM.shape[1]
    return sums_K / found_KM.sum(1).clamp(min=1)
