"""The student's anchor that corresponds to an anchor of the teacher.

DTG-SSOD (NeurIPS 2022), section 3.2, matching for the RPN stage: the teacher's anchor
is mapped to the student's view, its area chooses the pyramid level, and the anchor of
that level with the largest IoU is its partner.

Shape legend: M boxes, L levels, A base anchors of a grid point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ssod_mm.maths.boxes import box_areas

# An anchor that was only moved must stay on its level in spite of rounding.
_ROUNDING = 1e-3


def anchor_levels(
    boxes_M4: Tensor, base_size: float, num_levels: int, nearest: bool = False
) -> Tensor:
    """Pyramid level by size, ``clip(floor(log2(sqrt(area) / base_size)))``.

    Rounding down sends an anchor that shrank ever so little to the level of half its
    size; ``nearest`` rounds to the level whose size it is closest to.

    Reference:
        DTG-SSOD, section 3.2; S = 32 there.

    Args:
        boxes_M4: (M, 4) xyxy in pixels.
        base_size: side in pixels of the smallest anchor of level 0, S > 0.
        num_levels: L.
        nearest: whether to round to the nearest level; otherwise the level is rounded
            down.

    Returns:
        (M,) int64 in [0, L).
    """
    sides = box_areas(boxes_M4.float()).sqrt().clamp(min=1e-6)
    exact = torch.log2(sides / base_size) + _ROUNDING
    levels = exact.round() if nearest else exact.floor()
    return levels.clamp(0, num_levels - 1).long()


@dataclass(frozen=True)
class LevelTable:
    """What :func:`match_anchors` wants to know of each level.

    Attributes:
        columns: (F, L) extents and centres (2, A) of the base anchors at grid point
            (0, 0), distance (2,) and largest index (2,) of grid points; along x, then
            along y, in pixels.
        wholes: (2, L) int64, width of the grid and number of the level's first anchor.
        num_base: A.
    """

    columns: Tensor
    wholes: Tensor
    num_base: int


def level_table(base_LA4: Tensor, strides_L2: Tensor, sizes_L2: Tensor) -> LevelTable:
    """The table of levels for :func:`match_anchors`.

    Args:
        base_LA4: (L, A, 4) base anchors at grid point (0, 0), xyxy in pixels.
        strides_L2: (L, 2) horizontal and vertical distance of grid points in pixels.
        sizes_L2: (L, 2) int64, height and width of each level's grid.
    """
    base, num_base = base_LA4.float(), base_LA4.shape[1]
    sizes = sizes_L2.to(base.device)
    columns = [
        (base[..., 2:] - base[..., :2]).permute(2, 1, 0).flatten(0, 1),
        ((base[..., 2:] + base[..., :2]) / 2).permute(2, 1, 0).flatten(0, 1),
        strides_L2.to(base).t(),
        (sizes.flip(1) - 1).to(base).t(),
    ]
    counts_L = sizes.prod(1) * num_base
    wholes = torch.stack([sizes[:, 1], counts_L.cumsum(0) - counts_L])
    return LevelTable(torch.cat(columns), wholes, num_base)


def match_anchors(
    boxes_M4: Tensor, levels_M: Tensor, table: LevelTable
) -> tuple[Tensor, Tensor]:
    """The anchor of a box's level with the largest IoU, in closed form.

    The width of an intersection depends on the grid column alone and never grows
    with the distance of the centres, and its height likewise on the row. So, for one
    base anchor, no grid point beats the one nearest to the box's centre, and only A
    anchors are looked at per box. Of equal IoUs the nearest point and the first base
    anchor win.

    Reference:
        DTG-SSOD, section 3.2, ``s_i = argmax IoU(t_i, s_j)``.

    Args:
        boxes_M4: (M, 4) xyxy in pixels of the student's view.
        levels_M: (M,) int64 in [0, L).
        table: of the levels, see :func:`level_table`.

    Returns:
        Indices (M,) into the levels' anchors, concatenated, each level by rows, then
        columns, then base anchors; and the IoUs (M,) in [0, 1].
    """
    boxes, num_base = boxes_M4.float(), table.num_base
    of_boxes = table.columns[:, levels_M]
    extents_2AM, centres_2AM = of_boxes[: 4 * num_base].view(2, 2, num_base, -1)
    strides_21M, limits_21M = of_boxes[4 * num_base :].view(2, 2, 1, -1)
    low_21M, high_21M = boxes.t().reshape(2, 2, 1, -1)
    extent_21M, centre_21M = high_21M - low_21M, (low_21M + high_21M) / 2

    # Intervals of extents a and b whose centres are d apart overlap by
    # min(a, b, (a + b) / 2 - d).
    away = centre_21M - centres_2AM
    points_2AM = (away / strides_21M).round_().clamp_(min=0)
    points_2AM = torch.minimum(points_2AM, limits_21M)
    away = away.sub_(points_2AM * strides_21M).abs_()
    overlaps = (extent_21M + extents_2AM).mul_(0.5).sub_(away)
    inside = torch.minimum(extent_21M, extents_2AM)
    width, height = torch.minimum(overlaps, inside).clamp_(min=0)
    areas_2 = extent_21M.clamp(min=0).prod(0) + extents_2AM.prod(0)
    inter = width * height
    iou_M, which_M = (inter / areas_2.sub_(inter)).nan_to_num_(0.0).max(0)
    column_M, row_M = points_2AM.gather(1, which_M.expand(2, 1, -1))[:, 0].long()
    width_M, start_M = table.wholes[:, levels_M]
    return start_M + (row_M * width_M + column_M) * num_base + which_M, iou_M
