"""RoIAlign as weighted sums of pixels, the fast form on a CPU.

A pixel of a feature map with the channels innermost is one row of numbers, and every
bin of every RoI is a weighted sum of a few rows, from whichever image and level of the
pyramid: one sum for all of them. Against mmcv's loops over channels that takes a
ninth of the time.

Shape legend: P RoIs, C channels, R rows (pixels of all images and levels), Q bins, K
pixels of a bin, L levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import embedding_bag


def roi_pixels(
    rois_P5: Tensor,
    levels_P: Tensor,
    sizes: Sequence[tuple[int, int]],
    scales: Sequence[float],
    images: int,
    bins: tuple[int, int],
    samples: int,
    aligned: bool = True,
) -> tuple[Tensor, Tensor]:
    """Rows that each bin of each RoI is a sum of, and their weights.

    Reference:
        He et al., Mask R-CNN, section 3, RoIAlign; the rules at the borders are mmcv's.

    Args:
        rois_P5: image and xyxy in pixels of the image, float32 or better.
        levels_P: the level of each RoI; ``len(sizes)`` for none.
        sizes: height and width of the feature map of each level.
        scales: pixels of a level for each pixel of the image.
        images: images of the batch. The rows of a level lie behind those of the levels
            before, image after image.
        bins: rows and columns of bins of a RoI.
        samples: samples of a bin along each axis, at least 1.
        aligned: whether pixels are areas (mmcv's ``aligned=True``), not points.

    Returns:
        Rows (Q, K) int64, and weights (Q, K), 0 for RoIs without level and for samples
        more than a pixel outside; Q = P * bins, K = 4 * samples ** 2.
    """
    device, last = rois_P5.device, len(sizes) - 1
    level_P = levels_P.clamp(max=last)
    # Heights, widths and first rows of the levels, and those of each RoI.
    firsts, first = [], 0
    for height, width in sizes:
        firsts.append(first)
        first += images * height * width
    table_3L = torch.tensor([*zip(*sizes, strict=True), firsts], device=device)
    height_P, width_P, first_P = table_3L[:, level_P]
    scale_P = rois_P5.new_tensor(scales)[level_P]

    corners_P4 = rois_P5[:, 1:] * scale_P[:, None] - (0.5 if aligned else 0.0)
    sides_P2 = corners_P4[:, 2:] - corners_P4[:, :2]
    if not aligned:
        sides_P2 = sides_P2.clamp(min=1.0)
    columns, of_column = _along_axis(
        corners_P4[:, 0], sides_P2[:, 0], width_P, bins[1], samples
    )
    lines, of_line = _along_axis(
        corners_P4[:, 1], sides_P2[:, 1], height_P, bins[0], samples
    )
    start_P = first_P + rois_P5[:, 0].long() * height_P * width_P
    lines = start_P[:, None, None] + lines * width_P[:, None, None]
    of_line = of_line * (levels_P <= last)[:, None, None] / samples**2

    def by_bin(of_pixels: Tensor) -> Tensor:
        """(Q, K) of what is (P, lines of samples, columns of samples, 2, 2)."""
        shape = (-1, bins[0], samples, bins[1], samples, 2, 2)
        of_pixels = of_pixels.reshape(shape).permute(0, 1, 3, 2, 4, 5, 6)
        return of_pixels.reshape(-1, 4 * samples**2)

    rows = lines[:, :, None, :, None] + columns[:, None, :, None]
    weights = of_line[:, :, None, :, None] * of_column[:, None, :, None]
    return by_bin(rows), by_bin(weights)


def _along_axis(
    start_P: Tensor, side_P: Tensor, size_P: Tensor, bins: int, samples: int
) -> tuple[Tensor, Tensor]:
    """Pixels on both sides of each sample and their weights, (P, bins * samples, 2)."""
    places_S = torch.arange(bins * samples, device=start_P.device)
    side_P1, size_P1 = side_P[:, None] / bins, size_P[:, None]
    within_S = (places_S % samples + 0.5).to(start_P) / samples
    at_PS = start_P[:, None] + places_S // samples * side_P1 + within_S * side_P1
    inside_PS = (at_PS >= -1.0) & (at_PS <= size_P1)  # no NaN is inside
    at_PS = torch.where(inside_PS, at_PS, 0.0).clamp(min=0.0)
    at_PS = torch.minimum(at_PS, (size_P1 - 1).to(at_PS))
    low_PS = at_PS.long()
    high_PS = torch.minimum(low_PS + 1, size_P1 - 1)
    share_PS = at_PS - low_PS
    shares_PS2 = torch.stack([1.0 - share_PS, share_PS], -1) * inside_PS[..., None]
    return torch.stack([low_PS, high_PS], -1), shares_PS2


def sum_of_rows(rows_RC: Tensor, index_QK: Tensor, weights_QK: Tensor) -> Tensor:
    """Weighted sums (Q, C) of rows; gradients flow to the rows alone.

    Args:
        rows_RC: (R, C).
        index_QK: (Q, K) int64 rows of each sum.
        weights_QK: (Q, K) their weights, of the rows' type.
    """
    return _SumOfRows.apply(rows_RC, index_QK, weights_QK)


class _SumOfRows(torch.autograd.Function):
    """PyTorch's own backward pass adds row by row; here it is a sum of rows as well."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(index, weights)
        ctx.num_rows = len(rows)
        return embedding_bag(index, rows, per_sample_weights=weights, mode="sum")

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        index, weights = ctx.saved_tensors
        sorted_N, order_N = index.flatten().sort(stable=True)
        numbers = torch.arange(ctx.num_rows, device=index.device)
        of_rows = embedding_bag(
            order_N // index.shape[1],
            gradient.contiguous(),
            offsets=torch.searchsorted(sorted_N, numbers),
            per_sample_weights=weights.flatten()[order_N],
            mode="sum",
        )
        return of_rows, None, None


def pool_rois(
    maps: Sequence[Tensor],
    rois_P5: Tensor,
    levels_P: Tensor,
    scales: Sequence[float],
    bins: tuple[int, int],
    samples: int,
    aligned: bool = True,
) -> Tensor:
    """RoIAlign of RoIs of any levels of a pyramid, (P, C, bins[0], bins[1]).

    Args:
        maps: feature maps (B, C, h, w) of the levels; fastest with channels innermost.
        rois_P5: see :func:`roi_pixels`, as what follows.
        levels_P: the level of each RoI.
        scales: of the levels.
        bins: rows and columns of bins.
        samples: samples of a bin along each axis.
        aligned: whether pixels are areas.
    """
    images, channels = maps[0].shape[:2]
    sizes = [tuple(level.shape[2:]) for level in maps]
    index, weights = roi_pixels(
        rois_P5, levels_P, sizes, scales, images, bins, samples, aligned
    )
    rows = [level.permute(0, 2, 3, 1).reshape(-1, channels) for level in maps]
    pooled = sum_of_rows(torch.cat(rows), index, weights.to(maps[0]))
    pooled = pooled.view(len(rois_P5), -1, channels).transpose(1, 2)
    return pooled.reshape(len(rois_P5), channels, *bins)
