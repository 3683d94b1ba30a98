"""The student's anchor that corresponds to an anchor of the teacher.

DTG-SSOD (NeurIPS 2022), section 3.2, matching for the RPN stage: the teacher's anchor
is mapped to the student's view, its area chooses the pyramid level, and the anchor of
that level with the largest IoU is its partner.

Shape legend: M boxes, L levels, A base anchors of a grid point.
"""

from __future__ import annotations

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


def match_anchors(
    boxes_M4: Tensor,
    levels_M: Tensor,
    base_LA4: Tensor,
    strides_L2: Tensor,
    sizes_L2: Tensor,
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
        base_LA4: (L, A, 4) base anchors at grid point (0, 0), xyxy in pixels.
        strides_L2: (L, 2) horizontal and vertical distance of grid points in pixels.
        sizes_L2: (L, 2) int64, height and width of each level's grid.

    Returns:
        Indices (M,) into the levels' anchors, concatenated, each level by rows, then
        columns, then base anchors; and the IoUs (M,) in [0, 1].
    """
    boxes = boxes_M4.float()
    sizes, base_LA4 = sizes_L2.to(boxes.device), base_LA4.float()
    axes = [
        _Axis(boxes, levels_M, base_LA4, strides_L2.to(boxes), sizes, axis)
        for axis in (0, 1)
    ]
    area_M = box_areas(boxes)
    base_area_LA = box_areas(base_LA4.flatten(0, 1)).view(base_LA4.shape[:2])
    best_M = boxes.new_full((len(boxes),), -1.0)
    which_M = torch.zeros_like(levels_M)
    column_M, row_M = torch.zeros_like(best_M), torch.zeros_like(best_M)
    # One base anchor after the other is faster than a tensor (M, A, 4), and lets the
    # first of equal anchors win.
    num_base = base_LA4.shape[1]
    for number in range(num_base):
        column, width = axes[0].nearest(number)
        row, height = axes[1].nearest(number)
        inter = width.mul_(height)
        iou = inter / (area_M + base_area_LA[:, number][levels_M]).sub_(inter)
        better = iou.nan_to_num_(0.0) > best_M
        best_M = torch.where(better, iou, best_M)
        which_M = torch.where(better, number, which_M)
        column_M = torch.where(better, column, column_M)
        row_M = torch.where(better, row, row_M)
    counts_L = sizes.prod(1) * num_base
    offset_M = (counts_L.cumsum(0) - counts_L)[levels_M]
    points_M = row_M.long() * sizes[levels_M, 1] + column_M.long()
    return offset_M + points_M * num_base + which_M, best_M


class _Axis:
    """Boxes and base anchors along one axis, for :func:`match_anchors`.

    Args:
        boxes_M4: as in :func:`match_anchors`, and so are the next three.
        levels_M: levels.
        base_LA4: base anchors.
        strides_L2: distances of grid points.
        sizes_L2: sizes of the grids.
        axis: 0 for x, 1 for y.
    """

    def __init__(
        self,
        boxes_M4: Tensor,
        levels_M: Tensor,
        base_LA4: Tensor,
        strides_L2: Tensor,
        sizes_L2: Tensor,
        axis: int,
    ) -> None:
        low_M, high_M = boxes_M4[:, axis], boxes_M4[:, axis + 2]
        low_LA, high_LA = base_LA4[..., axis], base_LA4[..., axis + 2]
        self.levels_M = levels_M
        self.centre_M, self.extent_M = (low_M + high_M) / 2, high_M - low_M
        self.base_centre_LA = (low_LA + high_LA) / 2
        self.base_extent_LA = high_LA - low_LA
        self.stride_M = strides_L2[levels_M, axis]
        self.limit_M = (sizes_L2[:, 1 - axis] - 1).to(boxes_M4)[levels_M]

    def nearest(self, number: int) -> tuple[Tensor, Tensor]:
        """For a base anchor the nearest grid index, and the overlap there in pixels.

        Both (M,) float32. Intervals of extents a and b whose centres are d apart
        overlap by ``min(a, b, (a + b) / 2 - d)``.
        """
        away = self.centre_M - self.base_centre_LA[:, number][self.levels_M]
        index = (away / self.stride_M).round_().clamp_(min=0)
        index = torch.minimum(index, self.limit_M)
        away = away.sub_(index * self.stride_M).abs_()
        extent = self.base_extent_LA[:, number][self.levels_M]
        overlap = (self.extent_M + extent).mul_(0.5).sub_(away)
        inside = torch.minimum(self.extent_M, extent)
        return index, torch.minimum(overlap, inside).clamp_(min=0)
