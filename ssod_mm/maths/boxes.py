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
        x, y = torch.stack([x1, x2, x2, x1], 1), torch.stack([y1, y1, y2, y2], 1)
        # Elementwise on purpose: a matmul may run in TF32 on a GPU.
        m = matrices[..., None]
        depth = m[:, 2, 0] * x + m[:, 2, 1] * y + m[:, 2, 2]
        depth = torch.where(depth.abs() < _MIN_DEPTH, _MIN_DEPTH, depth)
        u = (m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]) / depth
        v = (m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]) / depth
        return torch.stack([u.amin(1), v.amin(1), u.amax(1), v.amax(1)], dim=1)


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
    return is_large & (sides > 0).all(1)


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
    steps = (torch.arange(grid, device=boxes.device) + 0.5) / grid
    sides = boxes[:, 2:] - boxes[:, :2]
    x_NG = boxes[:, :1] + sides[:, :1] * steps
    y_NG = boxes[:, 1:2] + sides[:, 1:] * steps
    sizes = sizes_N2.to(boxes)
    inside_x = (x_NG >= 0) & (x_NG <= sizes[:, 1:])
    inside_y = (y_NG >= 0) & (y_NG <= sizes[:, :1])
    patches = patches_NP4.to(boxes)[..., None]
    hidden_x = (x_NG[:, None] > patches[:, :, 0]) & (x_NG[:, None] < patches[:, :, 2])
    hidden_y = (y_NG[:, None] > patches[:, :, 1]) & (y_NG[:, None] < patches[:, :, 3])
    hidden = (hidden_y[..., :, None] & hidden_x[..., None, :]).any(1)
    seen = inside_y[:, :, None] & inside_x[:, None, :] & ~hidden
    return seen.float().mean((1, 2)) * (sides > 0).all(1)
