"""RoIs pooled from the levels of a feature pyramid, whose numbers take one fetch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmdet.models.roi_heads import roi_extractors
from torch import Tensor, nn


@dataclass(frozen=True)
class RoILevels:
    """The levels of the feature pyramid in which RoIs are pooled.

    Attributes:
        numbers: (P,) int64; that behind the last level stands for none.
        counts: how many RoIs each level has, and how many have none.
    """

    numbers: Tensor
    counts: Sequence[int]


class SingleRoIExtractor(roi_extractors.SingleRoIExtractor):
    """``SingleRoIExtractor`` that learns the levels of all RoIs in one fetch.

    Attributes:
        known: levels of the RoIs of the next pass; None: they are not known.
    """

    known: RoILevels | None = None

    def levels(self, rois: Tensor) -> Tensor:
        """Level (P,) of each RoI (P, 5); the number of levels stands for none.

        RoIs of negative size, which untrained Sparse R-CNNs give, have none.
        """
        levels = self.map_roi_levels(rois, self.num_inputs)
        return levels.masked_fill(levels < 0, self.num_inputs)

    def counts(self, levels: Tensor) -> Tensor:
        """RoIs of each level, and of none (L + 1,); other numbers are not counted."""
        numbers = torch.arange(self.num_inputs + 1, device=levels.device)
        return (levels[:, None] == numbers).sum(0)

    def forward(
        self,
        feats: Sequence[Tensor],
        rois: Tensor,
        roi_scale_factor: float | None = None,
    ) -> Tensor:
        """Features (P, C, h, w) of RoIs (P, 5), see mmdet's method."""
        if len(feats) == 1 or not len(rois):
            return super().forward(feats, rois, roi_scale_factor)
        rois = rois.type_as(feats[0])
        known = self.known
        if known is None:
            levels = self.levels(rois)
            known = RoILevels(levels, self.counts(levels).tolist())
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        # As mmdet's, features of RoIs without a level are zeros.
        *counts, num_without = known.counts
        if num_without == len(rois):
            return super().forward(feats, rois, None)
        order = known.numbers.argsort(stable=True)
        rows = rois[order].split([*counts, num_without])
        parts = zip(self.roi_layers, feats, rows, strict=False)
        pooled = [layer(maps, part) for layer, maps, part in parts if len(part)]
        if num_without:
            pooled.append(pooled[0].new_zeros(num_without, *pooled[0].shape[1:]))
        pooled = torch.cat(pooled)
        # Each level stays in the graph: a process that waits for its gradient would
        # wait for ever.
        for maps, count in zip(feats, counts, strict=True):
            if not count and maps.requires_grad:
                pooled = pooled + 0.0 * maps.flatten()[0]
        return pooled[order.argsort()]


@contextmanager
def known_levels(extractor: nn.Module, levels: RoILevels | None) -> Iterator[None]:
    """Spare the extractor the fetch of the levels of the RoIs that it will be given."""
    if levels is None:
        yield
        return
    extractor.known = levels
    try:
        yield
    finally:
        del extractor.known
