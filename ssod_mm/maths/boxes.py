"""Boxes between views: homographies, hulls, clipping and visibility.

Coordinates are continuous pixels: pixel ``i`` covers ``[i, i + 1]``. A homography
``M`` maps the original image to a view; the map from the teacher's view to the
student's is ``M_s @ inv(M_t)``. Every function computes in float32 or better, also
under autocast, because reduced precision moves boxes by whole pixels.

Shape legend: N boxes, B images, P patches, G grid points along one side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssod_mm.errors import UserError

_MIN_DEPTH = 1e-6


def relative_homographies(target_B33: Tensor, source_B33: Tensor) -> Tensor:
    """Homographies from each source view to its target view, ``T @ inv(S)``.

    Args:
        target_B33: original image to target view, (B, 3, 3).
        source_B33: original image to source view, (B, 3, 3), invertible.

    Returns:
        (B, 3, 3) float32 on the inputs' device; computed in float64.

    Raises:
        ValueError: if a source homography is singular.
    """
    target, source = target_B33.double(), source_B33.double()
    inverse, info = torch.linalg.inv_ex(source)
    if source.device.type == "cpu" and info.numpy().any():
        bad = info.numpy().nonzero()[0].tolist()
        raise UserError(
            f"The homography of view(s) {bad} cannot be inverted: a transform "
            "squeezed the image to a line. Check the pipeline's scales and shears."
        )
    return (target @ inverse).float()


def warp_boxes(boxes_N4: Tensor, matrices_N33: Tensor, hull: str = "corners") -> Tensor:
    """Map boxes through homographies and return their axis-aligned hulls.

    ``corners`` encloses the four mapped corners: the smallest box that surely holds
    the object, larger than the object under rotation (area x1.87 for a square at 30
    degrees). ``ellipse`` encloses the mapped inscribed ellipse instead (x1.0 there):
    the better guess for objects that leave the corners of their boxes empty. Both
    agree under scale, flip and translation.

    Args:
        boxes_N4: (N, 4) xyxy in pixels of the source view.
        matrices_N33: (N, 3, 3), one per box, or (3, 3) for all.
        hull: ``"corners"`` or ``"ellipse"`` (affine maps only).

    Returns:
        (N, 4) float32 xyxy in pixels of the target view, not clipped.

    Raises:
        ValueError: if ``hull`` is neither.
    """
    if hull not in ("corners", "ellipse"):
        raise ValueError(f"hull must be 'corners' or 'ellipse', not {hull!r}.")
    with torch.autocast(boxes_N4.device.type, enabled=False):
        boxes, matrices = boxes_N4.float(), matrices_N33.float()
        if matrices.dim() == 2:
            matrices = matrices.expand(boxes.shape[0], 3, 3)
        if hull == "ellipse":
            centre = (boxes[:, :2] + boxes[:, 2:]) / 2
            half = (boxes[:, 2:] - boxes[:, :2]) / 2
            linear = matrices[:, :2, :2]
            centre = (linear * centre[:, None]).sum(-1) + matrices[:, :2, 2]
            half = (linear * half[:, None]).square().sum(-1).sqrt()
            return torch.cat([centre - half, centre + half], dim=1)
        # An index that is a list would be uploaded, and the host wait for it.
        x1, y1, x2, y2 = boxes.unbind(1)
        x_N14 = torch.stack([x1, x2, x2, x1], 1)[:, None]
        y_N14 = torch.stack([y1, y1, y2, y2], 1)[:, None]
        # Elementwise on purpose: a matmul may run in TF32 on a GPU.
        by_x, by_y, by_one = matrices.split(1, dim=2)
        corners_N34 = by_x * x_N14 + by_y * y_N14 + by_one
        depth = corners_N34[:, 2:]
        depth = torch.where(depth.abs() < _MIN_DEPTH, _MIN_DEPTH, depth)
        corners_N24 = corners_N34[:, :2] / depth
        return torch.cat([corners_N24.amin(2), corners_N24.amax(2)], dim=1)


def clip_boxes(boxes_N4: Tensor, sizes_N2: Tensor) -> Tensor:
    """Boxes clipped to images of the given (height, width).

    Args:
        boxes_N4: (N, 4) xyxy in pixels.
        sizes_N2: (N, 2) height and width in pixels of each box's image.

    Returns:
        (N, 4); a box wholly outside becomes one of zero area on the border.
    """
    limits = sizes_N2.to(boxes_N4).flip(1)[:, None]
    corners = boxes_N4.clamp(min=0).unflatten(1, (2, 2))
    return torch.minimum(corners, limits).flatten(1)


def box_areas(boxes_N4: Tensor) -> Tensor:
    """Areas (N,) of xyxy boxes in square pixels; inverted boxes have none."""
    sides = (boxes_N4[:, 2:] - boxes_N4[:, :2]).clamp(min=0)
    return sides[:, 0] * sides[:, 1]


def are_large(boxes_N4: Tensor, least_wh: tuple[float, float]) -> Tensor:
    """Whether boxes (N, 4) reach a width and a height and have an area, (N,) bool."""
    sides = boxes_N4[:, 2:] - boxes_N4[:, :2]
    width, height = sides.unbind(1)
    is_large = (width >= least_wh[0]) & (height >= least_wh[1])
    return is_large if min(least_wh) > 0 else is_large & (sides > 0).all(1)


def hull_growth(
    boxes_N4: Tensor, matrices_N33: Tensor, hull: str = "corners"
) -> Tensor:
    """How many times larger the hull is than the mapped box itself.

    1 under scale, flip and translation; with corner hulls for a square 1.34 / 1.64 /
    1.87 at 10 / 20 / 30 degrees of rotation.

    Args:
        boxes_N4: (N, 4) xyxy in pixels of the source view, of positive area.
        matrices_N33: (N, 3, 3) affine homographies, one per box.
        hull: see :func:`warp_boxes`.

    Returns:
        (N,) float32 ratios of areas, >= 1.
    """
    linear = matrices_N33.float()[:, :2, :2]
    true_areas = box_areas(boxes_N4.float()) * torch.linalg.det(linear).abs()
    areas = box_areas(warp_boxes(boxes_N4, matrices_N33, hull))
    return areas / true_areas.clamp(min=1e-12)


def visible_fractions(
    boxes_N4: Tensor,
    sizes_N2: Tensor,
    patches_NP4: Tensor,
    grid: int = 12,
) -> Tensor:
    """Share of each box that lies inside its image and under no erased patch.

    Measured on a regular ``grid`` x ``grid`` of points inside the box, so that
    overlapping patches are not counted twice; the error of one patch edge is at most
    ``1 / (2 * grid)`` of the box's side.

    Args:
        boxes_N4: (N, 4) xyxy in pixels, not clipped.
        sizes_N2: (N, 2) height and width of each box's image.
        patches_NP4: (N, P, 4) erased patches of each box's image, xyxy in pixels;
            pad with zeros.
        grid: points along one side.

    Returns:
        (N,) float32 in [0, 1]; 0 for boxes without area.
    """
    boxes = boxes_N4.float()
    half = 0.5 / grid
    steps_G = torch.linspace(half, 1 - half, grid, device=boxes.device)
    low_N2, high_N2 = boxes.split(2, dim=1)
    sides_N2 = high_N2 - low_N2
    points_N2G = torch.addcmul(low_N2[..., None], sides_N2[..., None], steps_G)
    limits_N21 = sizes_N2.to(boxes).flip(1)[..., None]
    inside_N2G = (points_N2G >= 0) & (points_N2G <= limits_N21)
    low_NP21, high_NP21 = patches_NP4.to(boxes)[..., None].split(2, dim=2)
    points_N12G = points_N2G[:, None]
    hidden_NP2G = (points_N12G > low_NP21) & (points_N12G < high_NP21)
    hidden_NGG = (hidden_NP2G[:, :, 1, :, None] & hidden_NP2G[:, :, 0, None]).any(1)
    inside_NGG = inside_N2G[:, 1, :, None] & inside_N2G[:, 0, None]
    shares_N = (inside_NGG > hidden_NGG).float().mean((1, 2))
    return shares_N * (sides_N2 > 0).all(1)
