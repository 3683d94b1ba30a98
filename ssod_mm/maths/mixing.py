"""Several views of a batch in one image: mosaics of four, and two on top of each other.

MixPL (*Mixed Pseudo Labels for Semi-Supervised Object Detection*, 2023), pseudo mosaic
and pseudo mixup. The geometry is a homography for each view that is placed in a mixed
image, so boxes and pixels follow the same map. Coordinates are continuous pixels: pixel
``i`` covers ``[i, i + 1]``.

Shape legend: N views, K mosaics, H and W of the padded batch.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import grid_sample

TILES = 4


def mosaic_matrices(
    sizes_K42: Tensor, crosses_K2: Tensor, canvas: tuple[int, int]
) -> Tensor:
    """Homographies that place four views around the cross of a mosaic.

    Each view shrinks with its aspect ratio until it fits its quarter of the canvas, and
    touches the cross with a corner. It is shown whole and never enlarged.

    Args:
        sizes_K42: height and width of the views in pixels, upper left, upper right,
            lower left and lower right one.
        crosses_K2: x and y of each mosaic's cross in pixels, inside the canvas.
        canvas: height H and width W of the mosaics.

    Returns:
        (K, 4, 3, 3) float64, from view to mosaic: one scale and a translation.
    """
    height, width = canvas
    sizes, crosses = sizes_K42.double(), crosses_K2.double()
    right = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float64)
    lower = torch.tensor([0.0, 0.0, 1.0, 1.0], dtype=torch.float64)
    x, y = crosses[:, :1], crosses[:, 1:]
    room_x = torch.where(right > 0, width - x, x)
    room_y = torch.where(lower > 0, height - y, y)
    scale = torch.minimum(room_x / sizes[..., 1], room_y / sizes[..., 0]).clamp(max=1.0)
    matrices = torch.zeros(*scale.shape, 3, 3, dtype=torch.float64)
    matrices[..., 0, 0] = matrices[..., 1, 1] = scale
    matrices[..., 2, 2] = 1.0
    matrices[..., 0, 2] = x - (1 - right) * scale * sizes[..., 1]
    matrices[..., 1, 2] = y - (1 - lower) * scale * sizes[..., 0]
    return matrices


def placed_views(
    images_NCHW: Tensor, matrices_N33: Tensor, sizes_N2: Tensor
) -> tuple[Tensor, Tensor]:
    """Views drawn through their homographies on canvases of the batch's size.

    Interpolation is bilinear. What a pixel takes from beyond the edge of a view is the
    edge's colour, not the padding.

    Args:
        images_NCHW: padded views, N x 3 x H x W.
        matrices_N33: from view to canvas, scale and translation alone.
        sizes_N2: height and width of each view without its padding.

    Returns:
        (N, C, H, W) pixels, 0 outside the placed view; and (N, 1, H, W) bool, whether
        the centre of a pixel lies in the placed view.
    """
    height, width = images_NCHW.shape[-2:]
    matrices, sizes = matrices_N33.float(), sizes_N2.float()
    grids, insides = [], []
    for axis, extent in ((0, width), (1, height)):
        centres = torch.arange(extent, device=images_NCHW.device) + 0.5
        offset, scale = matrices[:, axis, 2, None], matrices[:, axis, axis, None]
        source = (centres - offset) / scale
        size = sizes[:, 1 - axis, None]
        insides.append((source >= 0) & (source < size))
        source = torch.minimum(source.clamp(min=0.5), size - 0.5)
        grids.append(2 * source / extent - 1)
    shape = (len(images_NCHW), height, width)
    grid = torch.stack(
        [grids[0][:, None, :].expand(shape), grids[1][:, :, None].expand(shape)], dim=-1
    )
    inside = (insides[1][:, :, None] & insides[0][:, None, :])[:, None]
    with torch.autocast(images_NCHW.device.type, enabled=False):
        drawn = grid_sample(
            images_NCHW.float(), grid, padding_mode="border", align_corners=False
        )
    return (drawn * inside).to(images_NCHW.dtype), inside


def mosaics(images_NCHW: Tensor, matrices_N33: Tensor, sizes_N2: Tensor) -> Tensor:
    """Mosaics of four views each.

    Args:
        images_NCHW: N = 4 K padded views, those of a mosaic one after the other.
        matrices_N33: see :func:`mosaic_matrices`.
        sizes_N2: height and width of each view without its padding.

    Returns:
        (K, C, H, W); 0, the value of padding, where no view is.
    """
    drawn, _ = placed_views(images_NCHW, matrices_N33, sizes_N2)
    return drawn.unflatten(0, (-1, TILES)).sum(1)


def overlaid(images_NCHW: Tensor, partners_N: Tensor, shares_N: Tensor) -> Tensor:
    """Each view with its partner on top: ``share * view + (1 - share) * partner``.

    Args:
        images_NCHW: padded views.
        partners_N: index of the other view.
        shares_N: share of a view in its mixed image, in [0, 1]; 1 leaves it alone.

    Returns:
        (N, C, H, W).
    """
    shares = shares_N.to(images_NCHW).view(-1, 1, 1, 1)
    return shares * images_NCHW + (1 - shares) * images_NCHW[partners_N]
