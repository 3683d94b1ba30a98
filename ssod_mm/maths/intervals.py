"""Box sides as intervals of a segment, and how sure the choice of an interval is.

Section 2 of *Rethinking Pseudo Labels for Semi-Supervised Object Detection* (arXiv
2106.00168), equations 3 to 5. Across each side of a candidate box lies a segment,
centred on the side and ``scale`` times as long as the box is wide (left and right
side) or high (top and bottom). It is cut into K equal intervals; the network says in
which one the true side lies, and how far it is from that interval's centre line.

Everything is computed in float32, or in float64 where the input is. Sides are ordered
x1, y1, x2, y2; offsets are in widths of an interval.

Shape legend: N candidates, 4 sides, K intervals.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ssod_mm.errors import UserError

MIN_EXTENT_PX = 1.0
DECODES = ("argmax", "expected")


def _full_precision(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()


def interval_widths(boxes_N4: Tensor, num_intervals: int, scale: float = 1.0) -> Tensor:
    """Widths of the intervals of each side's segment.

    Reference:
        Section 2, "split l evenly into K consecutive intervals". The paper does not
        give the length of l: here ``scale`` times the box's extent across the side.

    Args:
        boxes_N4: (N, 4) xyxy candidates in pixels. A box narrower than
            ``MIN_EXTENT_PX`` gets the segments of one that wide.
        num_intervals: K.
        scale: length of a segment in extents of the box.

    Returns:
        (N, 4) widths in pixels, > 0.
    """
    boxes = _full_precision(boxes_N4)
    extents_N2 = (boxes[:, 2:] - boxes[:, :2]).clamp(min=MIN_EXTENT_PX)
    return extents_N2.repeat(1, 2) * (scale / num_intervals)


def encode_sides(
    boxes_N4: Tensor, targets_N4: Tensor, num_intervals: int, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The interval that holds each true side, and the offset from its centre line.

    A side that lies outside its segment belongs to the nearest interval, the first or
    the last, and the offset carries the rest: it is then larger than 1/2, by the
    distance to the segment in interval widths, and :func:`decode_sides` still gives
    the side exactly. With K = 1 the interval is always 0 and the offset is the plain
    distance between the sides in segment lengths.

    Reference:
        Section 2; the labels y of eq. 3 and the distance from x_k to x_g of eq. 5.

    Args:
        boxes_N4: (N, 4) xyxy candidates in pixels.
        targets_N4: (N, 4) xyxy true boxes in pixels, one per candidate.
        num_intervals: K.
        scale: length of a segment in extents of the box.

    Returns:
        indices: (N, 4) int64 in [0, K - 1].
        offsets: (N, 4) in interval widths; in [-1/2, 1/2] for a side inside its
            segment.
    """
    boxes, targets = _full_precision(boxes_N4), _full_precision(targets_N4)
    steps_N4 = (targets - boxes) / interval_widths(boxes, num_intervals, scale)
    indices_N4 = (steps_N4 + num_intervals / 2).floor().clamp(0, num_intervals - 1)
    offsets_N4 = steps_N4 - (indices_N4 - (num_intervals - 1) / 2)
    return indices_N4.long(), offsets_N4


def decode_sides(
    boxes_N4: Tensor,
    logits_N4K: Tensor,
    offsets_N4K: Tensor,
    scale: float = 1.0,
    decode: str = "argmax",
) -> Tensor:
    """Boxes from the intervals' logits and offsets.

    ``"argmax"`` takes the most probable interval of each side and its offset.
    ``"expected"`` takes the mean of all intervals' places, each its centre and offset,
    weighted by their probabilities: a side near a border of two intervals that are
    about as probable does not jump. Opposite sides that crossed are swapped, so that a
    box is never inside out.

    Reference:
        Section 2; the inverse of :func:`encode_sides`. The paper prints no formula.

    Args:
        boxes_N4: (N, 4) xyxy candidates in pixels.
        logits_N4K: (N, 4, K) logits t of eq. 3.
        offsets_N4K: (N, 4, K) offsets from each interval's centre line in interval
            widths.
        scale: length of a segment in extents of the box.
        decode: ``"argmax"`` or ``"expected"``.

    Returns:
        (N, 4) xyxy in pixels, not clipped to the image.

    Raises:
        ValueError: for another ``decode``.
    """
    if decode not in DECODES:
        raise UserError(
            f"bbox_head.decode must be one of {list(DECODES)}, not {decode!r}."
        )
    num_intervals = logits_N4K.shape[-1]
    boxes = _full_precision(boxes_N4)
    offsets_N4K = _full_precision(offsets_N4K)
    if decode == "argmax":
        places_N4 = logits_N4K.argmax(-1)
        places_N4 = places_N4 + offsets_N4K.gather(-1, places_N4[..., None])[..., 0]
    else:
        # Logarithms are normalised, because all probabilities may be tiny.
        log_p_N4K = functional.logsigmoid(_full_precision(logits_N4K))
        index_K = torch.arange(num_intervals, device=boxes.device)
        places_N4 = (log_p_N4K.softmax(-1) * (index_K + offsets_N4K)).sum(-1)
    steps_N4 = places_N4 - (num_intervals - 1) / 2
    moved = boxes + steps_N4 * interval_widths(boxes, num_intervals, scale)
    first, second = moved[:, :2], moved[:, 2:]
    return torch.cat([torch.minimum(first, second), torch.maximum(first, second)], 1)


def localisation_certainty(logits_N4K: Tensor) -> Tensor:
    """How sure the network is of a box's place.

    Reference:
        Eq. 4, with the sigmoid of eq. 3 that makes it a score:
        ``v = mean over the sides s of max over k of sigmoid(t[s, k])``.

    Args:
        logits_N4K: (N, 4, K) logits t.

    Returns:
        (N,) in [0, 1].
    """
    return _full_precision(logits_N4K).amax(-1).sigmoid().mean(-1)


def interval_losses(
    logits_N4K: Tensor, indices_N4: Tensor, positive_only: bool = False
) -> Tensor:
    """Sigmoid cross-entropy of the intervals, summed over the K of each side.

    Reference:
        Eq. 3. As printed only the true interval counts, and all logits at infinity
        are the minimum: ``positive_only``. The default adds the other term of the
        binary cross-entropy, -log(1 - sigmoid(t)) of every other interval.

    Args:
        logits_N4K: (N, 4, K) logits t.
        indices_N4: (N, 4) int64 true intervals.
        positive_only: whether to leave out the other intervals.

    Returns:
        (N, 4) >= 0.
    """
    logits = _full_precision(logits_N4K)
    own_N4 = logits.gather(-1, indices_N4[..., None])[..., 0]
    if positive_only:
        return functional.softplus(-own_N4)
    # BCE(t, y) = softplus(t) - y * t
    return functional.softplus(logits).sum(-1) - own_N4


def offset_losses(
    offsets_N4K: Tensor, indices_N4: Tensor, targets_N4: Tensor, beta: float = 1.0
) -> Tensor:
    """Smooth L1 of the true interval's offset.

    Reference:
        The second term of eq. 5, from the interval's centre line to the true side, in
        interval widths (the paper names no unit).

    Args:
        offsets_N4K: (N, 4, K) predicted offsets in interval widths.
        indices_N4: (N, 4) int64 true intervals.
        targets_N4: (N, 4) true offsets in interval widths.
        beta: distance at which the loss turns from square to linear; 0 is L1.

    Returns:
        (N, 4) >= 0.
    """
    own_N4 = _full_precision(offsets_N4K).gather(-1, indices_N4[..., None])[..., 0]
    return functional.smooth_l1_loss(
        own_N4, targets_N4.to(own_N4), reduction="none", beta=beta
    )
