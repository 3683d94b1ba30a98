"""Inverse NMS clustering: which kept box suppressed which candidate.

DTG-SSOD (NeurIPS 2022), section 3.2: the teacher's greedy NMS groups its candidates;
a cluster is a kept box with the candidates that it suppressed, itself included. A
candidate belongs to the highest-scoring kept box of its group whose IoU with it
exceeds the threshold. Groups are what NMS keeps apart: images, classes, pyramid levels.

Shape legend: N candidates, K clusters (kept boxes), G groups, S slots of a block.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
# The same for proposals: of a trained RPN, at an IoU of 0.7, they take five to seven.
_STEPS_OF_NMS = 7


def pairwise_iou(a_N4: Tensor, b_N4: Tensor) -> Tensor:
    """IoU of boxes at the same place of two broadcast tensors.

    Args:
        a_N4: (..., 4) xyxy in pixels.
        b_N4: (..., 4), of a shape that broadcasts with ``a_N4``.

    Returns:
        (...) in [0, 1]; NaN for two boxes without area, so that no threshold is
        exceeded and neither suppresses the other, as in mmcv's NMS.
    """
    areas = _area(a_N4), _area(b_N4)
    return _iou(a_N4.unbind(-1), areas[0], b_N4.unbind(-1), areas[1])


def _area(boxes_N4: Tensor) -> Tensor:
    width, height = (boxes_N4[..., 2:] - boxes_N4[..., :2]).unbind(-1)
    return width * height


def _iou(
    a_4N: Sequence[Tensor], area_a: Tensor, b_4N: Sequence[Tensor], area_b: Tensor
) -> Tensor:
    ax1, ay1, ax2, ay2 = a_4N
    bx1, by1, bx2, by2 = b_4N
    width = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1)).clamp_(min=0)
    height = torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1)).clamp_(min=0)
    inter = width.mul_(height)
    return inter / (area_a + area_b).sub_(inter)


def _iou_of_pairs(boxes_GS4: Tensor) -> Tensor:
    """IoU (G, S, S) of all pairs of boxes of a group, see :func:`pairwise_iou`."""
    area = _area(boxes_GS4)
    # Coordinates of all boxes side by side: a CPU compares them four times as fast.
    corners = boxes_GS4.movedim(-1, 0).contiguous()
    of_rows, of_columns = corners[..., None], corners[:, :, None]
    return _iou(of_rows, area[:, :, None], of_columns, area[:, None])


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
        max_pairs: IoUs computed at a time, but at least one for each group; bounds the
            memory at about 40 bytes each.

    Returns:
        Indices of the kept boxes (K,) by falling score, and for each candidate its
        cluster (N,) as an index into them, -1 for background. K is 0 without
        candidates.

    Raises:
        ValueError: if ``iou_thr`` is out of range.
    """
    check_iou_thr(iou_thr)
    thr_N = torch.full_like(scores_N, iou_thr, dtype=torch.float64)
    is_candidate = scores_N >= score_thr
    one_part = torch.zeros_like(groups_N)
    kept, clusters, *_ = clusters_in_parts(
        boxes_N4, scores_N, groups_N, thr_N, is_candidate, one_part, 1, max_pairs
    )
    return kept, clusters


def check_iou_thr(iou_thr: float) -> None:
    """Refuse a threshold of NMS outside of [0, 1).

    Raises:
        ValueError: if it is.
    """
    if not 0.0 <= iou_thr < 1.0:
        raise UserError(f"iou_thr must lie in [0, 1), not {iou_thr}.")


def clusters_in_parts(
    boxes_N4: Tensor,
    scores_N: Tensor,
    groups_N: Tensor,
    thr_N: Tensor,
    is_candidate: Tensor,
    parts_N: Tensor,
    num_parts: int,
    max_pairs: int = 2**22,
) -> tuple[Tensor, Tensor, list[int], list[int]]:
    """:func:`nms_clusters` of several sets of candidates at once.

    Args:
        boxes_N4: as there, and so are the next two.
        scores_N: scores.
        groups_N: groups; a group has candidates of one part alone.
        thr_N: (N,) the threshold on the IoU in each candidate's group.
        is_candidate: (N,) which are not background.
        parts_N: (N,) int64 in [0, num_parts), by which the kept boxes are ordered.
        num_parts: number of parts.
        max_pairs: as there.

    Returns:
        Indices of the kept boxes (K,), part after part and each by falling score; the
        cluster (N,) of each candidate; how many boxes each part keeps, and how many
        candidates it has.
    """
    owner_N, kept_of_parts = torch.full_like(groups_N, -1), [0] * num_parts
    if not len(groups_N):
        return owner_N, owner_N, kept_of_parts, kept_of_parts
    boxes = boxes_N4 if boxes_N4.dtype == torch.float64 else boxes_N4.float()
    thr_N = thr_N.to(boxes.dtype)
    by_score = scores_N.argsort(descending=True, stable=True)
    # Group after group, each by falling score; background at the end.
    groups_N = torch.where(is_candidate, groups_N, torch.iinfo(groups_N.dtype).max)
    order = by_score[groups_N[by_score].argsort(stable=True)]
    group, place = _places(groups_N[order])
    last_2 = torch.where(is_candidate[order], torch.stack([group, place]), -1).amax(1)
    counts_P = groups_N.new_zeros(num_parts)
    counts_P.index_add_(0, parts_N, is_candidate.long())
    last_group, last_place, *candidates = torch.cat([last_2, counts_P]).tolist()
    order, group, place = (part[: sum(candidates)] for part in (order, group, place))
    while len(order):
        num_groups = last_group + 1
        most = CUDA_BLOCK if boxes.is_cuda else BLOCK
        size = min(most, last_place + 1, max(1, math.isqrt(max_pairs // num_groups)))
        slots = _filled(
            order.new_full((num_groups * size,), -1),
            group * size + place,
            order,
            place < size,
        )
        slots_GS = slots.view(num_groups, size)
        of_slots = slots_GS.clamp(min=0)
        kept_GS, owner_GS, counts = _greedy(
            boxes[of_slots],
            slots_GS,
            thr_N[of_slots[:, 0]],
            parts_N[of_slots],
            num_parts,
        )
        kept_of_parts = list(map(sum, zip(kept_of_parts, counts, strict=True)))
        owner_N = _filled(owner_N, slots_GS, owner_GS, slots_GS >= 0)
        if last_place < size:
            break
        (rows,) = (owner_N[order] < 0).nonzero(as_tuple=True)
        rest, group = order[rows], group[rows]
        kept_GS = _compact(torch.where(kept_GS, slots_GS, -1))
        claimed = _first_claim(boxes, rest, group, kept_GS, thr_N, max_pairs)
        owner_N[rest] = claimed
        order = rest[claimed < 0]
        if len(order):
            group, place = _places(groups_N[order])
            last_group, last_place = torch.stack([group[-1], place.max()]).tolist()
    by_part = by_score
    if num_parts > 1:
        by_part = by_score[parts_N[by_score].argsort(stable=True)]
    is_other = (owner_N[by_part] != by_part).byte()
    kept_K = by_part[is_other.argsort(stable=True)[: sum(kept_of_parts)]]
    number_N = torch.full_like(groups_N, -1)
    number_N[kept_K] = torch.arange(len(kept_K), device=kept_K.device)
    cluster_N = torch.where(owner_N >= 0, number_N[owner_N.clamp(min=0)], -1)
    return kept_K, cluster_N, kept_of_parts, candidates


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


def _greedy(
    boxes_GS4: Tensor, slots_GS: Tensor, thr_G: Tensor, parts_GS: Tensor, num_parts: int
) -> tuple[Tensor, Tensor, list[int]]:
    """Greedy NMS of sorted boxes as the fixed point of "no kept box before suppresses".

    The relation only points forward, so the fixed point is unique and equals the
    sequential result; it is reached after as many steps as the longest chain has.

    Args:
        boxes_GS4: the first boxes of each group by falling score.
        slots_GS: their numbers; -1 where there is none.
        thr_G: threshold on the IoU of each group.
        parts_GS: their parts.
        num_parts: number of parts.

    Returns:
        Which are kept (G, S); the number of the best kept box that suppresses each, of
        kept ones their own, -1 for none (G, S); how many each part keeps.
    """
    suppresses = (_iou_of_pairs(boxes_GS4) > thr_G[:, None, None]).triu(1)
    kept = real_GS = slots_GS >= 0
    zeros_P = slots_GS.new_zeros(num_parts)
    while True:
        for _ in range(_STEPS):
            before, claims = kept, suppresses & kept[:, :, None]
            kept = real_GS > claims.any(1)
        counts_P = zeros_P.index_add(0, parts_GS.flatten(), kept.flatten().long())
        num_changed = (before != kept).sum()
        changed, *counts = torch.cat([num_changed[None], counts_P]).tolist()
        if not changed:
            break
    # The first of the kept boxes before; at the fixed point their claims still hold.
    claimed, first = claims.byte().max(1)
    owner = torch.where(claimed > 0, slots_GS.gather(1, first), -1)
    return kept, torch.where(kept, slots_GS, owner), counts


def greedy_nms(
    boxes_GS4: Tensor, real_GS: Tensor, iou_thr: float
) -> tuple[Tensor, list[int]]:
    """Greedy NMS of sorted boxes in all groups at once, without their clusters.

    It computes the IoUs of all pairs of a group, where mmcv's kernel walks through the
    boxes one by one, and finds the fixed point that :func:`_greedy` describes.

    Args:
        boxes_GS4: (G, S, 4) float32, the boxes of each group by falling score.
        real_GS: (G, S) which of them take part.
        iou_thr: a kept box suppresses those behind it with an IoU above.

    Returns:
        (G, S) float16, 1 for those that are kept and 0 for the others; how many each
        group keeps.
    """
    suppresses = (_iou_of_pairs(boxes_GS4) > iou_thr).triu(1).half()
    real = kept = real_GS.half()[:, None]
    # Mixed precision would copy the matrix in every step.
    with torch.autocast(boxes_GS4.device.type, enabled=False):
        while True:
            for _ in range(_STEPS_OF_NMS):
                # 0 for those that a kept box suppresses.
                left = torch.baddbmm(real, kept, suppresses, alpha=-1)
                before, kept = kept, left.relu()
            # Of two neighbours in the sequence one contains the other: with equal
            # numbers they are equal.
            numbers = torch.cat([before, kept], dim=1).sum(2, dtype=torch.int64)
            numbers = numbers.tolist()
            if all(earlier == later for earlier, later in numbers):
                return kept[:, 0], [number for number, _ in numbers]


def _compact(numbers_GS: Tensor) -> Tensor:
    """The numbers of each row that are not -1, in front (G, K'), padded with -1."""
    is_there = numbers_GS >= 0
    most = int(is_there.sum(1).max())
    front = is_there.logical_not().byte().argsort(dim=1, stable=True)[:, :most]
    return numbers_GS.gather(1, front)


def _first_claim(
    boxes: Tensor,
    some: Tensor,
    group: Tensor,
    kept_GS: Tensor,
    thr_N: Tensor,
    max_pairs: int,
) -> Tensor:
    """For some boxes the best kept one of their group that suppresses them, or -1."""
    width = kept_GS.shape[1]
    if width == 0:
        return torch.full_like(some, -1)
    rows = max(1, max_pairs // width)
    parts = zip(some.split(rows), group.split(rows), strict=True)
    return torch.cat(
        [_best_claim(boxes, part, kept_GS[of], thr_N) for part, of in parts]
    )


def _best_claim(
    boxes: Tensor, some_N: Tensor, kept_NK: Tensor, thr_N: Tensor
) -> Tensor:
    """First kept box of each row that suppresses the row's box, or -1 (N,)."""
    iou = pairwise_iou(boxes[some_N][:, None], boxes[kept_NK.clamp(min=0)])
    hits = (iou > thr_N[some_N][:, None]) & (kept_NK >= 0)
    claimed, first = hits.byte().max(1)
    return torch.where(claimed > 0, kept_NK.gather(1, first[:, None])[:, 0], -1)
