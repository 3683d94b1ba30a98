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
from ssod_mm.maths.clustering import pairwise_iou

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
        nearest: round to the nearest level in place of down.

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
    base_MA4 = base_LA4.float()[levels_M]
    stride_M2 = strides_L2.to(boxes)[levels_M]
    sizes = sizes_L2.to(levels_M.device)
    limit_M2 = sizes[levels_M].flip(1) - 1
    centre_M2 = (boxes[:, :2] + boxes[:, 2:]) / 2
    base_centre_MA2 = (base_MA4[..., :2] + base_MA4[..., 2:]) / 2
    cell_MA2 = (centre_M2[:, None] - base_centre_MA2) / stride_M2[:, None]
    cell_MA2 = cell_MA2.round().long().clamp(min=0)
    cell_MA2 = torch.minimum(cell_MA2, limit_M2[:, None])
    shift_MA2 = cell_MA2 * stride_M2[:, None]
    anchors_MA4 = base_MA4 + shift_MA2.repeat(1, 1, 2)
    iou_MA = pairwise_iou(boxes[:, None], anchors_MA4).nan_to_num(0.0)
    best_M = iou_MA.amax(1)
    num_base = base_LA4.shape[1]
    falling = torch.arange(num_base, 0, -1, device=boxes.device)
    which_M = num_base - ((iou_MA == best_M[:, None]) * falling).amax(1)
    cell_M2 = cell_MA2.gather(1, which_M[:, None, None].expand(-1, 1, 2))[:, 0]
    counts_L = sizes.prod(1) * num_base
    offset_M = (counts_L.cumsum(0) - counts_L)[levels_M]
    points_M = cell_M2[:, 1] * (limit_M2[:, 0] + 1) + cell_M2[:, 0]
    return offset_M + points_M * num_base + which_M, best_M
