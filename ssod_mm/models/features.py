"""One backbone pass for several image groups, and heads that reuse its features."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from mmdet.models import BaseDetector
from mmdet.structures import SampleList
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ssod_mm.models.size_groups import (
    Features,
    GroupedFeatures,
    Sizes,
    size_groups,
    stack_padded,
)


def padding_waste(groups: Sequence[Tensor]) -> float:
    """Extra pixels that stacking the groups would add, as a share of their own.

    Args:
        groups: image batches (B_i, 3, H_i, W_i).

    Returns:
        0 when all sizes agree, 0.5 when the joint batch is half as large again.
    """
    height = max(group.shape[-2] for group in groups)
    width = max(group.shape[-1] for group in groups)
    joint = sum(group.shape[0] for group in groups) * height * width
    apart = sum(g.shape[0] * g.shape[-2] * g.shape[-1] for g in groups)
    return joint / apart - 1.0


def anchor_head(detector: BaseDetector) -> nn.Module | None:
    """The head over the feature maps: the RPN of a two-stage detector."""
    return getattr(detector, "rpn_head", None) or getattr(detector, "bbox_head", None)


def takes_groups(detector: BaseDetector) -> bool:
    """Whether images of a batch may pass a detector's network in several groups.

    Its anchor head must know what to do with them, and no batch norm may learn from
    the composition of a batch.
    """
    head = anchor_head(detector)
    if not getattr(head, "takes_groups", False):
        return False
    norms = [m for m in detector.modules() if isinstance(m, _BatchNorm)]
    return not any(norm.training for norm in norms)


class BatchFeatures(list):
    """Features of several image batches.

    Attributes:
        whole: the same as those of one batch; None where the batches do not share
            their passes.
    """

    def __init__(
        self, batches: Sequence[Features], whole: Features | None = None
    ) -> None:
        super().__init__(batches)
        self.whole = whole


def joint_features(
    detector: BaseDetector,
    batches: Sequence[Tensor],
    max_waste: float,
    sizes: Sequence[Sizes] | None = None,
) -> BatchFeatures:
    """Features of several image batches, from as few backbone passes as pays.

    Args:
        detector: a detector with ``extract_feat``.
        batches: image batches (B_i, 3, H_i, W_i).
        max_waste: the batches share one pass if stacking them adds at most this share
            of pixels (see :func:`padding_waste`); negative: never.
        sizes: of the images of each batch (see :func:`sizes_in`). Where the detector
            takes groups, images of like size share a pass, whatever their batch.

    Returns:
        For each batch a tuple of feature maps (B_i, C, h, w), which may be
        :class:`GroupedFeatures`.
    """
    by_size = bool(batches) and sizes is not None and 0 <= max_waste < math.inf
    if by_size and takes_groups(detector):
        groups = size_groups([size for one in sizes for size in one], max_waste)
        return _features_of_groups(detector.extract_feat, batches, sizes, groups)
    if joint_canvas(batches, max_waste) is None:
        return BatchFeatures([detector.extract_feat(batch) for batch in batches])
    return _of_one_pass(detector.extract_feat, batches)


def joint_canvas(batches: Sequence[Tensor], max_waste: float) -> tuple[int, int] | None:
    """Height and width of the images of a joint pass; None where each has its own.

    Args:
        batches: as in :func:`joint_features`.
        max_waste: as in :func:`joint_features`.
    """
    if len(batches) < 2 or padding_waste(batches) > max_waste:
        return None
    height, width = (max(batch.shape[i] for batch in batches) for i in (-2, -1))
    return height, width


def on_canvas(samples: SampleList, canvas: tuple[int, int] | None) -> SampleList:
    """Data samples of images that were padded further.

    A detector that masks the padding, as the DETRs do, reads its size from
    ``batch_input_shape``.

    Args:
        samples: of one image batch; not changed.
        canvas: height and width of its padded images; None for those that they have.
    """
    if canvas is None:
        return samples
    padded = [copy.copy(sample) for sample in samples]
    for sample in padded:
        sample.set_metainfo(dict(batch_input_shape=canvas))
    return padded


class SharedSamples(list):
    """Data samples whose deep copy shares their tensors.

    mmdet's two-stage detectors copy all samples to give the RPN labels of its own.
    """

    def __deepcopy__(self, memo: dict) -> list:
        copies = [copy.copy(sample) for sample in self]
        for sample in copies:
            sample.gt_instances = copy.copy(sample.gt_instances)
        return copies


def _of_one_pass(
    extract: Callable[[Tensor], Features], batches: Sequence[Tensor]
) -> BatchFeatures:
    """Features of each batch from one pass for all."""
    whole = tuple(extract(stack_padded(batches)))
    return BatchFeatures(_split(whole, [len(batch) for batch in batches]), whole)


def _split(features: Features, counts: Sequence[int]) -> list[Features]:
    """Features of consecutive images."""
    levels = [level.split(list(counts)) for level in features]
    return [tuple(level[i] for level in levels) for i in range(len(counts))]


def _features_of_groups(
    extract: Callable[[Tensor], Features],
    batches: Sequence[Tensor],
    sizes: Sequence[Sizes],
    groups: Sequence[Sequence[int]],
) -> BatchFeatures:
    """Features of each batch from one pass for each group of images.

    Args:
        extract: gives the feature maps of images.
        batches: image batches.
        sizes: of the images of each batch.
        groups: numbers of the images of each group, counted over all batches, sorted.
    """
    if len(groups) == 1:
        return _of_one_pass(extract, batches)
    places = [(b, row) for b, batch in enumerate(batches) for row in range(len(batch))]
    all_maps: list[Features] = []
    parts: list[list[Features]] = [[] for _ in batches]
    rows: list[list[list[int]]] = [[] for _ in batches]
    for group in groups:
        members = [places[number] for number in group]
        images = []
        for b, row in members:
            height, width = sizes[b][row]
            images.append(batches[b][row : row + 1, :, :height, :width])
        counts = [sum(b == one for one, _ in members) for b in range(len(batches))]
        all_maps.append(extract(stack_padded(images)))
        for b, maps in enumerate(_split(all_maps[-1], counts)):
            if counts[b]:
                parts[b].append(maps)
                rows[b].append([row for one, row in members if one == b])
    whole = GroupedFeatures.of(all_maps, groups)
    joined = _split(whole, [len(batch) for batch in batches])
    return BatchFeatures(
        [
            maps[0] if len(maps) == 1 else GroupedFeatures.of(maps, where, levels)
            for maps, where, levels in zip(parts, rows, joined, strict=True)
        ],
        whole,
    )


def passes_by_size(
    detector: BaseDetector, sizes: Sizes, max_waste: float
) -> AbstractContextManager[None]:
    """Let a detector's images of unlike sizes pass its network in groups.

    Args:
        detector: the detector.
        sizes: of the images that it will be asked about, see :func:`sizes_in`.
        max_waste: see :func:`joint_features`.
    """
    if not (0 <= max_waste < math.inf and takes_groups(detector)):
        return nullcontext()
    groups = size_groups(sizes, max_waste)
    if len(groups) == 1:
        return nullcontext()
    extract = detector.extract_feat

    def extract_groups(images: Tensor) -> Features:
        return _features_of_groups(extract, [images], [sizes], groups)[0]

    return replaced_method(detector, "extract_feat", extract_groups)


@contextmanager
def replaced_method(
    module: nn.Module, name: str, function: Callable[..., Any]
) -> Iterator[None]:
    """Let a module answer calls of one of its methods by another function.

    The only place where an object is changed from outside: MMDetection's detectors and
    RoI heads have no argument for what they call next.

    Args:
        module: the module; afterwards, also after an error, as before.
        name: of the method.
        function: called in its place, without ``self``.
    """
    outer = vars(module).get(name)
    setattr(module, name, function)
    try:
        yield
    finally:
        delattr(module, name)
        if outer is not None:
            setattr(module, name, outer)


@contextmanager
def use_features(detector: BaseDetector, features: Features) -> Iterator[None]:
    """Let ``detector.loss`` and ``detector.predict`` skip the backbone.

    Inside the context the detector's ``extract_feat`` returns ``features``: any mmdet
    detector, one- or two-stage, can be asked without running its backbone again.

    Args:
        detector: the detector.
        features: its feature maps of the images that it will be asked about.
    """
    with replaced_method(detector, "extract_feat", lambda _inputs: features):
        yield
