"""Label assignment by IoU and random sampling for a batch of images at once.

What MMDetection's ``MaxIoUAssigner`` and ``RandomSampler`` do image by image and box by
box, on padded tensors: no value is fetched from the device, and the number of
operations does not depend on the numbers of images and boxes.

Shape legend: B images, N candidates, M boxes of an image (padded), K ignored ones
(padded), S sampled candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_EPS = 1e-6


@dataclass(frozen=True)
class AssignRule:
    """How candidates are assigned to boxes; the names are MMDetection's.

    Attributes:
        pos_iou_thr: a candidate with this IoU or more belongs to its best box.
        neg_iou_range: background has a largest IoU in [low, high).
        min_pos_iou: a box takes its best candidates if their IoU reaches this.
        match_low_quality: whether boxes take their best candidates at all.
        gt_max_assign_all: whether a box takes all candidates of the same best IoU, or
            the first of them.
        ignore_iof_thr: candidates that lie in ignored boxes by more than this share
            are neither foreground nor background; 0 or less: none are.
        ignore_wrt_candidates: whether the share is that of the candidate's area;
            otherwise it is that of the ignored box's area.
        ignore_without_boxes: ignored boxes count in images without other boxes too,
            which MMDetection's own assigner leaves out.
    """

    pos_iou_thr: float
    neg_iou_range: tuple[float, float]
    min_pos_iou: float = 0.0
    match_low_quality: bool = True
    gt_max_assign_all: bool = True
    ignore_iof_thr: float = -1.0
    ignore_wrt_candidates: bool = True
    ignore_without_boxes: bool = False


@dataclass(frozen=True)
class SampleRule:
    """How many candidates of an image are sampled; the names are MMDetection's.

    Attributes:
        num: most candidates of an image.
        num_pos: most foreground candidates among them.
        neg_pos_ub: most background candidates for each foreground candidate; a
            negative number sets no bound.
    """

    num: int
    num_pos: int
    neg_pos_ub: float = -1.0


def batch_overlaps(
    boxes_BM4: Tensor, priors_BN4: Tensor, over: str = "union"
) -> Tensor:
    """Overlap of every box with every candidate of its image, (B, M, N).

    Args:
        boxes_BM4: (B, M, 4) xyxy.
        priors_BN4: (B, N, 4) or (1, N, 4) xyxy.
        over: what the intersection is divided by: ``"union"``, ``"priors"`` or
            ``"boxes"`` (their areas), at least 1e-6.

    Returns:
        (B, M, N) in [0, 1].
    """
    # Coordinates of all boxes side by side: a CPU compares them four times as fast.
    b_4BM1 = boxes_BM4.movedim(-1, 0).contiguous()[..., None]
    p_4B1N = priors_BN4.movedim(-1, 0).contiguous()[:, :, None]
    bx1, by1, bx2, by2 = b_4BM1
    px1, py1, px2, py2 = p_4B1N
    width = torch.minimum(bx2, px2).sub_(torch.maximum(bx1, px1)).clamp_(min=0)
    height = torch.minimum(by2, py2).sub_(torch.maximum(by1, py1)).clamp_(min=0)
    inter = width.mul_(height)
    if over == "boxes":
        return inter.div_(_areas(b_4BM1).clamp_(min=_EPS))
    if over == "priors":
        return inter.div_(_areas(p_4B1N).clamp_(min=_EPS))
    union = (_areas(b_4BM1) + _areas(p_4B1N)).sub_(inter)
    return inter.div_(union.clamp_(min=_EPS))


def _areas(corners: Tensor) -> Tensor:
    """Areas of boxes whose four coordinates come first."""
    sides = corners[2:] - corners[:2]
    return sides[0] * sides[1]


def assign_max_iou(
    priors_BN4: Tensor,
    boxes_BM4: Tensor,
    real_BM: Tensor,
    rule: AssignRule,
    ignored_BK4: Tensor | None = None,
    ignored_real_BK: Tensor | None = None,
    valid_BN: Tensor | None = None,
    max_pairs: int = 2**24,
) -> Tensor:
    """Assign the candidates of each image to its boxes by their IoU.

    A candidate is assigned to its best box from ``pos_iou_thr`` on, and is background
    where its best IoU lies in ``neg_iou_range``. Then each box takes its best
    candidates, the later box where two want the same one.

    Args:
        priors_BN4: candidates (B, N, 4), or (1, N, 4) shared by all images.
        boxes_BM4: boxes (B, M, 4), padded, M at least 1.
        real_BM: which of them are boxes.
        rule: the thresholds.
        ignored_BK4: ignored boxes (B, K, 4), padded; None without any.
        ignored_real_BK: which of them are boxes.
        valid_BN: (B, N) which candidates take part; None for all.
        max_pairs: images are treated together up to this many pairs of a box and a
            candidate; bounds the memory at about 30 bytes each.

    Returns:
        (B, N) int64: 0 for background, i + 1 for box i, -1 for neither.
    """
    images, num_boxes = real_BM.shape
    num_priors = priors_BN4.shape[1]
    together = max(1, max_pairs // max(num_boxes * num_priors, 1))
    if together < images:
        parts = []
        for first in range(0, images, together):
            part = slice(first, first + together)
            parts.append(
                assign_max_iou(
                    priors_BN4 if len(priors_BN4) == 1 else priors_BN4[part],
                    boxes_BM4[part],
                    real_BM[part],
                    rule,
                    None if ignored_BK4 is None else ignored_BK4[part],
                    None if ignored_real_BK is None else ignored_real_BK[part],
                    None if valid_BN is None else valid_BN[part],
                    max_pairs=together * num_boxes * num_priors,
                )
            )
        return torch.cat(parts)
    if num_priors == 0:
        return real_BM.new_zeros((images, 0), dtype=torch.int64)
    overlaps = batch_overlaps(boxes_BM4, priors_BN4)
    hidden_BN = None
    if ignored_BK4 is not None and rule.ignore_iof_thr > 0:
        over = "priors" if rule.ignore_wrt_candidates else "boxes"
        shares = batch_overlaps(ignored_BK4, priors_BN4, over)
        shares = shares.masked_fill_(~ignored_real_BK[:, :, None], -1.0).amax(1)
        hidden_BN = shares > rule.ignore_iof_thr
        overlaps.masked_fill_(hidden_BN[:, None], -1.0)
    if valid_BN is not None:
        overlaps.masked_fill_(~valid_BN[:, None], -2.0)
    overlaps.masked_fill_(~real_BM[:, :, None], -3.0)

    best_BN, which_BN = overlaps.max(1)
    low, high = rule.neg_iou_range
    assigned = ((best_BN >= low) & (best_BN < high)).long() - 1
    assigned = torch.where(best_BN >= rule.pos_iou_thr, which_BN + 1, assigned)
    if rule.match_low_quality:
        taken = _last_taker(overlaps, rule)
        assigned = torch.where(taken > 0, taken, assigned)
    has_boxes = real_BM.any(1, keepdim=True)
    assigned = torch.where(has_boxes, assigned, 0)
    if rule.ignore_without_boxes and hidden_BN is not None:
        assigned = assigned.masked_fill_(hidden_BN & ~has_boxes, -1)
    if valid_BN is not None:
        assigned = assigned.masked_fill_(~valid_BN, -1)
    return assigned


def _last_taker(overlaps_BMN: Tensor, rule: AssignRule) -> Tensor:
    """1 + the last box of the image that takes each candidate, or 0 (B, N)."""
    if rule.gt_max_assign_all:
        best_BM1 = overlaps_BMN.amax(2, keepdim=True)
        takes = overlaps_BMN == best_BM1
    else:
        best_BM1, which_BM1 = overlaps_BMN.max(2, keepdim=True)
        places = torch.arange(overlaps_BMN.shape[2], device=overlaps_BMN.device)
        takes = which_BM1 == places
    # Padding and boxes with ignored candidates alone have a negative best IoU.
    takes &= best_BM1 >= max(rule.min_pos_iou, 0.0)
    count = overlaps_BMN.shape[1]
    numbers = torch.arange(1, count + 1, device=overlaps_BMN.device, dtype=torch.int16)
    return (takes * numbers[:, None]).amax(1).long()


def sample_by_keys(
    assigned_BN: Tensor, keys_BN: Tensor, rule: SampleRule
) -> tuple[Tensor, Tensor, Tensor]:
    """Sample candidates of each image at random, without replacement.

    Foreground ones up to ``num_pos``, then background ones up to ``num`` altogether:
    each time those with the largest keys, so that uniform keys give every subset the
    same chance, as a random permutation does.

    Args:
        assigned_BN: (B, N) what :func:`assign_max_iou` gave.
        keys_BN: (B, N) random keys of at least 0.
        rule: the numbers.

    Returns:
        Candidates (B, S) with S = min(num, N), foreground by rising place, background
        by rising place, then what stands for nothing; which are foreground (B, S); and
        which are background (B, S).
    """
    num_priors = assigned_BN.shape[1]
    size = min(rule.num, num_priors)
    fg_keys, fg_at = torch.where(assigned_BN > 0, keys_BN, -1.0).topk(
        min(rule.num_pos, num_priors), dim=1
    )
    is_fg = fg_keys >= 0
    num_fg = is_fg.sum(1, keepdim=True)
    quota = rule.num - num_fg
    if rule.neg_pos_ub >= 0:
        most = (rule.neg_pos_ub * num_fg.clamp(min=1)).floor().long()
        quota = torch.minimum(quota, most)
    bg_keys, bg_at = torch.where(assigned_BN == 0, keys_BN, -1.0).topk(size, dim=1)
    is_bg = (bg_keys >= 0) & (torch.arange(size, device=quota.device) < quota)
    places = torch.cat(
        [
            torch.where(is_fg, fg_at, 2 * num_priors),
            torch.where(is_bg, bg_at + num_priors, 2 * num_priors),
        ],
        dim=1,
    )
    places = places.sort(1).values[:, :size]
    foreground = places < num_priors
    background = ~foreground & (places < 2 * num_priors)
    return places % max(num_priors, 1), foreground, background
