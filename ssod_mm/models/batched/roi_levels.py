"""RoIs pooled from the levels of a feature pyramid, whose numbers take one fetch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from mmcv.ops import RoIAlign
from mmdet.models.roi_heads import roi_extractors
from torch import Tensor, nn

from ssod_mm.maths.roi_align import pool_rois


@dataclass(frozen=True)
class RoILevels:
    """The levels of the feature pyramid in which RoIs are pooled.

    Attributes:
        numbers: (P,) int64; that behind the last level stands for none.
        counts: how many RoIs each level has, and how many have none.
    """

    numbers: Tensor
    counts: Sequence[int]


def pooled_as_rows(maps: Tensor) -> bool:
    """Whether RoIs are pooled as sums of rows: a CPU gains by it, a GPU by kernels."""
    return maps.device.type == "cpu"


class SingleRoIExtractor(roi_extractors.SingleRoIExtractor):
    """``SingleRoIExtractor`` that learns the levels of all RoIs in one fetch.

    On a CPU it pools the RoIs of all levels at once, by
    :func:`~ssod_mm.maths.roi_align.pool_rois`, where its layers are mmcv's with a fixed
    number of samples.

    Attributes:
        any_memory_order: it takes feature maps with the channels innermost, too.
        known: levels of the RoIs of the next pass; None: they are not known.
    """

    any_memory_order = True
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
        if len(rois) and pooled_as_rows(feats[0]) and self._has_fixed_samples():
            return self._pooled_as_rows(feats, rois, roi_scale_factor)
        feats = [maps.contiguous() for maps in feats]  # mmcv misreads other orders
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

    def _has_fixed_samples(self) -> bool:
        """Whether the layers are mmcv's with as many samples in each bin."""
        return all(
            type(layer) is RoIAlign
            and layer.sampling_ratio > 0
            and layer.pool_mode == "avg"
            and not layer.use_torchvision
            for layer in self.roi_layers
        )

    def _pooled_as_rows(
        self, feats: Sequence[Tensor], rois: Tensor, roi_scale_factor: float | None
    ) -> Tensor:
        rois = rois.type_as(feats[0])
        if len(feats) == 1:
            levels = torch.zeros(len(rois), dtype=torch.int64)
        else:
            levels = self.known.numbers if self.known else self.levels(rois)
        if roi_scale_factor is not None:
            rois = self.roi_rescale(rois, roi_scale_factor)
        layers = self.roi_layers[: len(feats)]
        return pool_rois(
            feats,
            rois,
            levels,
            [layer.spatial_scale for layer in layers],
            layers[0].output_size,
            layers[0].sampling_ratio,
            layers[0].aligned,
        )


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
