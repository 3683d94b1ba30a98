"""Encodes boxes as deltas of candidates and back, with the constants on the device.

The parametrisation of R-CNN: shift of the centre in extents of the candidate, and the
logarithm of the ratio of extents.
"""

from __future__ import annotations

from torch import Tensor, cat


def encode_deltas(
    priors_N4: Tensor, boxes_N4: Tensor, means_4: Tensor, stds_4: Tensor
) -> Tensor:
    """Deltas that turn candidates into boxes.

    Args:
        priors_N4: (..., 4) xyxy, of positive extents.
        boxes_N4: (..., 4) xyxy, of positive extents.
        means_4: means, which are subtracted from the deltas.
        stds_4: standard deviations, by which the deltas are then divided.

    Returns:
        (..., 4) float32: dx, dy, dw, dh.
    """
    priors, boxes = priors_N4.float(), boxes_N4.float()
    sides = priors[..., 2:] - priors[..., :2]
    shift = (boxes[..., :2] + boxes[..., 2:]) * 0.5
    shift = (shift - (priors[..., :2] + priors[..., 2:]) * 0.5) / sides
    growth = ((boxes[..., 2:] - boxes[..., :2]) / sides).log()
    return cat([shift, growth], dim=-1).sub_(means_4).div_(stds_4)


def decode_deltas(
    priors_N4: Tensor,
    deltas_N4: Tensor,
    means_4: Tensor,
    stds_4: Tensor,
    max_log_ratio: float,
) -> Tensor:
    """Boxes that follow from candidates and their deltas, not clipped.

    Args:
        priors_N4: (..., 4) xyxy, of a shape that broadcasts with the deltas.
        deltas_N4: (..., 4).
        means_4: see :func:`encode_deltas`.
        stds_4: see :func:`encode_deltas`.
        max_log_ratio: dw and dh are held within plus and minus this.

    Returns:
        (..., 4) xyxy.
    """
    deltas = deltas_N4 * stds_4 + means_4
    sides = priors_N4[..., 2:] - priors_N4[..., :2]
    centre = (priors_N4[..., :2] + priors_N4[..., 2:]) * 0.5 + sides * deltas[..., :2]
    sides = sides * deltas[..., 2:].clamp(-max_log_ratio, max_log_ratio).exp()
    half = sides * 0.5
    return cat([centre - half, centre + half], dim=-1)
