"""Inverse NMS clustering: which kept box suppressed which candidate.

DTG-SSOD (NeurIPS 2022), section 3.2: the teacher's greedy NMS groups its candidates;
a cluster is a kept box with the candidates that it suppressed, itself included. A
candidate belongs to the highest-scoring kept box of its group whose IoU with it
exceeds the threshold. Groups are what NMS keeps apart: images, classes, pyramid levels.

Shape legend: N candidates, K clusters (kept boxes), G groups, S slots of a block.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ssod_mm.errors import UserError

# Boxes per group that one round of the search for kept boxes looks at. The best of
# them suppress most of the others, so that a round costs S^2, not N^2. On CUDA a round
# costs waits rather than arithmetic.
BLOCK = 128
CUDA_BLOCK = 512
# Steps of the search between two looks at whether it has ended: a look makes the host
# wait for the device, a step is a handful of small operations.
_STEPS = 6


def pairwise_iou(a_N4: Tensor, b_N4: Tensor) -> Tensor:
    """IoU of boxes at the same place of two broadcast tensors.

    Args:
        a_N4: (..., 4) xyxy in pixels.
        b_N4: (..., 4), of a shape that broadcasts with ``a_N4``.

    Returns:
        (...) in [0, 1]; NaN for two boxes without area, so that no threshold is
        exceeded and neither suppresses the other, as in mmcv's NMS.
    """
    ax1, ay1, ax2, ay2 = a_N4.unbind(-1)
    bx1, by1, bx2, by2 = b_N4.unbind(-1)
    width = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1)).clamp_(min=0)
    height = torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1)).clamp_(min=0)
    inter = width.mul_(height)
    area_a, area_b = (ax2 - ax1) * (ay2 - ay1), (bx2 - bx1) * (by2 - by1)
    return inter / (area_a + area_b).sub_(inter)


def nms_clusters(
    boxes_N4: Tensor,
    scores_N: Tensor,
    groups_N: Tensor,
    iou_thr: float,
    score_thr: float = -math.inf,
    max_pairs: int = 2**22,
) -> tuple[Tensor, Tensor]:
    """Greedy NMS in every group, with the cluster of each candidate.

    Equal scores are taken in the order of the input, as a stable sort gives it; mmcv's
    NMS leaves their order open and otherwise keeps the same boxes. All groups are
    treated at once: a round finds the kept boxes among the best undecided ones of each
    group (``BLOCK``), and these claim whatever they suppress in the whole group.

    Reference:
        DTG-SSOD, section 3.2, "Inverse NMS Clustering".

    Args:
        boxes_N4: (N, 4) xyxy in pixels.
        scores_N: (N,) what ranks the candidates; NaN counts as background.
        groups_N: (N,) int64, for example ``image * num_classes + label``.
        iou_thr: a kept box suppresses those with an IoU above it, in [0, 1).
        score_thr: candidates below it are background.
        max_pairs: IoUs computed at a time; bounds the memory at about 40 bytes each.

    Returns:
        Indices of the kept boxes (K,) by falling score, and for each candidate its
        cluster (N,) as an index into them, -1 for background. K is 0 without
        candidates.

    Raises:
        ValueError: if ``iou_thr`` is out of range.
    """
    if not 0.0 <= iou_thr < 1.0:
        raise UserError(f"iou_thr must lie in [0, 1), not {iou_thr}.")
    boxes = boxes_N4 if boxes_N4.dtype == torch.float64 else boxes_N4.float()
    owner_N = torch.full_like(groups_N, -1)
    by_score = scores_N.argsort(descending=True, stable=True)
    order = by_score[groups_N[by_score].argsort(stable=True)]
    undecided, num_kept = order[scores_N[order] >= score_thr], 0
    while len(undecided):
        group, place = _places(groups_N[undecided])
        kept_GS, number = _kept_of_first(
            boxes, undecided, group, place, iou_thr, max_pairs
        )
        num_kept += number
        claimed = _first_claim(boxes, undecided, group, kept_GS, iou_thr, max_pairs)
        owner_N[undecided] = claimed
        # A box without area claims nothing, not even itself.
        owner_N = _filled(owner_N, kept_GS, kept_GS, kept_GS >= 0)
        undecided = undecided[owner_N[undecided] < 0]
    is_other = (owner_N[by_score] != by_score).byte()
    kept_K = by_score[is_other.argsort(stable=True)[:num_kept]]
    number_N = torch.full_like(groups_N, -1)
    number_N[kept_K] = torch.arange(len(kept_K), device=kept_K.device)
    cluster_N = torch.where(owner_N >= 0, number_N[owner_N.clamp(min=0)], -1)
    return kept_K, cluster_N


def _filled(target_N: Tensor, index: Tensor, values: Tensor, which: Tensor) -> Tensor:
    """``target_N`` with values set where ``which`` says so; the host does not wait."""
    size = len(target_N)
    place = torch.where(which, index, size).flatten()
    longer = torch.cat([target_N, target_N.new_empty(1)])
    return longer.scatter_(0, place, values.flatten())[:size]


def _places(groups_N: Tensor) -> tuple[Tensor, Tensor]:
    """Dense number of each sorted entry's group, and its place in the group."""
    index = torch.arange(len(groups_N), device=groups_N.device)
    starts = torch.ones_like(groups_N, dtype=torch.bool)
    starts[1:] = groups_N[1:] != groups_N[:-1]
    group = starts.cumsum(0) - 1
    first = torch.where(starts, index, 0).cummax(0).values
    return group, index - first


def _kept_of_first(
    boxes: Tensor,
    undecided: Tensor,
    group: Tensor,
    place: Tensor,
    iou_thr: float,
    max_pairs: int,
) -> tuple[Tensor, int]:
    """Kept boxes (G, K') among the first of each group, padded with -1; how many."""
    last_group, last_place = torch.stack([group[-1], place.max()]).tolist()
    num_groups = last_group + 1
    most_slots = CUDA_BLOCK if boxes.is_cuda else BLOCK
    size = min(most_slots, last_place + 1, max(1, math.isqrt(max_pairs // num_groups)))
    slots_GS = _filled(
        undecided.new_full((num_groups * size,), -1),
        group * size + place,
        undecided,
        place < size,
    ).view(num_groups, size)
    kept_GS = slots_GS >= 0
    most = number = 0
    rows = max(1, max_pairs // size**2)
    for part in range(0, num_groups, rows):  # a single part, but for very many groups
        piece = slice(part, part + rows)
        kept_GS[piece], most_of_piece, number_of_piece = _greedy(
            boxes[slots_GS[piece].clamp(min=0)], kept_GS[piece], iou_thr
        )
        most, number = max(most, most_of_piece), number + number_of_piece
    rank_GS = kept_GS.cumsum(1) - 1
    first_G1 = torch.arange(num_groups, device=group.device)[:, None] * most
    compact = slots_GS.new_full((num_groups * most,), -1)
    compact = _filled(compact, first_G1 + rank_GS, slots_GS, kept_GS)
    return compact.view(num_groups, most), number


def _greedy(
    boxes_GS4: Tensor, real_GS: Tensor, iou_thr: float
) -> tuple[Tensor, int, int]:
    """Greedy NMS of sorted boxes as the fixed point of "no kept box before suppresses".

    Also the largest number of kept boxes in a group, and their number in all.

    The relation only points forward, so the fixed point is unique and equals the
    sequential result; it is reached after as many steps as the longest chain has.
    """
    iou = pairwise_iou(boxes_GS4[:, :, None], boxes_GS4[:, None])
    suppresses = (iou > iou_thr).triu(1)
    kept = real_GS
    while True:
        for _ in range(_STEPS):
            before = kept
            kept = real_GS > (suppresses & kept[:, :, None]).any(1)
        counts_G, changed = kept.sum(1), (before != kept).sum()
        numbers = torch.stack([changed, counts_G.max(), counts_G.sum()])
        num_changed, most, number = numbers.tolist()
        if not num_changed:
            return kept, most, number


def _first_claim(
    boxes: Tensor,
    undecided: Tensor,
    group: Tensor,
    kept_GS: Tensor,
    iou_thr: float,
    max_pairs: int,
) -> Tensor:
    """For each undecided box the best kept one that suppresses it, or -1."""
    width = kept_GS.shape[1]
    if width == 0:
        return torch.full_like(undecided, -1)
    rows = max(1, max_pairs // width)
    parts = zip(undecided.split(rows), group.split(rows), strict=True)
    return torch.cat(
        [_best_claim(boxes, part, kept_GS[of], iou_thr) for part, of in parts]
    )


def _best_claim(
    boxes: Tensor, some_N: Tensor, kept_NK: Tensor, iou_thr: float
) -> Tensor:
    """First kept box of each row that suppresses the row's box, or -1 (N,)."""
    width = kept_NK.shape[1]
    falling = torch.arange(width, 0, -1, device=kept_NK.device)
    iou = pairwise_iou(boxes[some_N][:, None], boxes[kept_NK.clamp(min=0)])
    hits = ((iou > iou_thr) & (kept_NK >= 0)) * falling
    best = hits.amax(1)
    which = (width - best).clamp(max=width - 1)
    owner = kept_NK.gather(1, which[:, None])[:, 0]
    return torch.where(best > 0, owner, -1)
