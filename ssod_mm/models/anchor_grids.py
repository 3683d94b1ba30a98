"""Anchors of a head's feature maps, computed once for each shape of the maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models.dense_heads import AnchorHead
from torch import Tensor

from ssod_mm.maths.anchors import LevelTable, level_table
from ssod_mm.maths.boxes import box_areas

Grids = Sequence[tuple[int, int]]
"""Height and width of each feature map."""

_CACHED_SHAPES = 8


@dataclass(frozen=True)
class AnchorGrid:
    """Anchors of feature maps of given shapes; nothing here is to be changed.

    Attributes:
        levels: anchors of each level (n, 4), xyxy in pixels.
        anchors: (N, 4) the same, one level after the other.
        level_numbers: (N,) int64, level of each anchor.
        matching: for :func:`~ssod_mm.maths.anchors.match_anchors`; None where levels
            have different numbers of anchors at a grid point.
        base_sides: sides of the base anchors of the first level, in pixels: roots of
            their areas.
    """

    levels: list[Tensor]
    anchors: Tensor
    level_numbers: Tensor
    matching: LevelTable | None
    base_sides: tuple[float, ...]


def anchor_grid(head: AnchorHead, grids: Grids, device: Any) -> AnchorGrid:
    """Anchors of a head, kept with it from call to call.

    Args:
        head: any head with an anchor generator of mmdet.
        grids: height and width of each feature map.
        device: where they are wanted.
    """
    cache = head.__dict__.setdefault("_anchor_grids", {})
    key = (tuple(map(tuple, grids)), str(device))
    if key not in cache:
        while len(cache) >= _CACHED_SHAPES:
            cache.pop(next(iter(cache)))
        cache[key] = _new_grid(head.prior_generator, key[0], device)
    return cache[key]


def _new_grid(generator: Any, grids: Grids, device: Any) -> AnchorGrid:
    levels = generator.grid_priors(list(grids), device=device)
    counts = torch.tensor([len(level) for level in levels])
    base, matching = list(generator.base_anchors), None
    if len({len(anchors) for anchors in base}) == 1:
        strides, sizes = torch.tensor(generator.strides), torch.tensor(grids)
        of_points = torch.stack(base).to(device)
        matching = level_table(of_points, strides, sizes)
    return AnchorGrid(
        levels=levels,
        anchors=torch.cat(levels),
        level_numbers=torch.repeat_interleave(counts).to(device),
        matching=matching,
        base_sides=tuple(box_areas(base[0].float()).sqrt().tolist()),
    )


def valid_anchors(
    head: AnchorHead, grids: Grids, metas: Sequence[dict], device: Any
) -> Tensor | None:
    """Which anchors lie in their padded image, (B, N); None: all do.

    Args:
        head: any head with an anchor generator of mmdet.
        grids: height and width of each feature map.
        metas: meta information with ``pad_shape``, of each image.
        device: where the answer is wanted.
    """
    generator = head.prior_generator
    whole = all(
        math.ceil(meta["pad_shape"][axis] / stride[1 - axis]) >= grid[axis]
        for meta in metas
        for grid, stride in zip(grids, generator.strides, strict=True)
        for axis in (0, 1)
    )
    if whole:
        return None
    flags = [
        torch.cat(generator.valid_flags(list(grids), meta["pad_shape"], "cpu"))
        for meta in metas
    ]
    return torch.stack(flags).to(device, non_blocking=True)
