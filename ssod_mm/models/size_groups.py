"""Images of like size that pass a network together, and their maps as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, pairwise

import torch
from mmdet.structures import SampleList
from torch import Tensor
from torch.nn.functional import pad

Features = tuple[Tensor, ...]
Sizes = list[tuple[int, int]]
MAX_GROUPS = 3
"""Passes through a network at most: each starts its operations anew."""


def stack_padded(groups: Sequence[Tensor], fill: float | None = 0.0) -> Tensor:
    """Concatenate image batches, padded at the right and bottom.

    Args:
        groups: batches (B_i, C, H_i, W_i) of images, normalised, or of maps.
        fill: value of the padding; None repeats the last rows and columns.

    Returns:
        (sum B_i, C, max H_i, max W_i).
    """
    height = max(group.shape[-2] for group in groups)
    width = max(group.shape[-1] for group in groups)
    how = dict(mode="replicate") if fill is None else dict(value=fill)
    borders = [(0, width - g.shape[-1], 0, height - g.shape[-2]) for g in groups]
    return torch.cat(
        [pad(g, border, **how) for g, border in zip(groups, borders, strict=True)]
    )


class GroupedFeatures(tuple):
    """Feature maps of a batch whose images passed a network in groups of like size.

    As a tuple it holds the maps (B, C, h, w) of each level, with the last rows and
    columns of an image's group repeated beyond them: what RoIs inside images are taken
    from, as if the image were alone. Anchor heads of
    :mod:`ssod_mm.models.batched` take the groups instead, whose maps end where the
    network saw the image end.

    Attributes:
        groups: maps of each level, for each group.
        order: (B,) int64, the place of each image among those of all groups.
    """

    groups: list[Features]
    order: Tensor

    @classmethod
    def of(
        cls,
        groups: Sequence[Features],
        rows: Sequence[Sequence[int]],
        levels: Features | None = None,
    ) -> GroupedFeatures:
        """Put groups together.

        Args:
            groups: maps of each level, for each group.
            rows: for each group the places of its images in the batch.
            levels: the joined maps of each level, where they are there already.
        """
        places = [row for group in rows for row in group]
        order = torch.tensor(places).argsort()
        order = order.to(groups[0][0].device, non_blocking=True)
        if levels is None:
            by_level = zip(*groups, strict=True)
            levels = tuple(joined(maps, order, None) for maps in by_level)
        grouped = cls(levels)
        grouped.groups, grouped.order = list(groups), order
        return grouped


def joined(maps: Sequence[Tensor], order: Tensor, fill: float | None) -> Tensor:
    """Maps of groups as those of a batch.

    Args:
        maps: (B_i, C, h_i, w_i) of each group.
        order: the place of each image of the batch among them.
        fill: value beyond the maps of an image's group, see :func:`stack_padded`.

    Returns:
        (B, C, max h_i, max w_i).
    """
    return stack_padded(maps, fill).index_select(0, order)


def size_groups(
    sizes: Sequence[tuple[int, int]], max_waste: float, max_groups: int = MAX_GROUPS
) -> list[list[int]]:
    """Groups of images that are padded to one size each, with little padding.

    Images are sorted by height, width or area, and groups are neighbours in that order:
    of random views of photographs no other grouping is better in the mean.

    Args:
        sizes: height and width of each image.
        max_waste: as few groups as keep the padding to this share of all pixels.
        max_groups: at most so many, even if padding is more.

    Returns:
        Indices of the images of each group, sorted; one group where padding is little.
    """
    own = sum(height * width for height, width in sizes)
    best, least = [list(range(len(sizes)))], _padded(sizes)
    orders = [
        sorted(range(len(sizes)), key=lambda i, key=key: key(sizes[i]))
        for key in (lambda s: s[0], lambda s: s[1], lambda s: s[0] * s[1])
    ]
    for number in range(2, min(max_groups, len(sizes)) + 1):
        if least <= own * (1 + max_waste):
            break
        for order in orders:
            for cuts in combinations(range(1, len(order)), number - 1):
                borders = [0, *cuts, len(order)]
                groups = [sorted(order[a:b]) for a, b in pairwise(borders)]
                pixels = sum(_padded([sizes[i] for i in group]) for group in groups)
                if pixels < least:
                    best, least = groups, pixels
    return sorted(best)


def _padded(sizes: Sequence[tuple[int, int]]) -> int:
    """Pixels of images that are padded to one size."""
    heights, widths = zip(*sizes, strict=True)
    return len(sizes) * max(heights) * max(widths)


def sizes_in(images: Tensor, samples: SampleList) -> Sizes:
    """Height and width of each image of a batch, without what the batch adds to it.

    Args:
        images: (B, 3, H, W).
        samples: their data samples; ``pad_shape`` is an image's size, a multiple of the
            network's stride. Those that lack it fill the batch.
    """
    whole = tuple(images.shape[-2:])
    shapes = [sample.metainfo.get("pad_shape", whole) for sample in samples]
    return [(min(s[0], whole[0]), min(s[1], whole[1])) for s in shapes]
