"""One backbone pass for several image groups, and heads that reuse its features."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from mmdet.models import BaseDetector
from torch import Tensor, nn
from torch.nn.functional import pad

Features = tuple[Tensor, ...]


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


def stack_padded(groups: Sequence[Tensor]) -> Tensor:
    """Concatenate image batches, zero-padded at the right and bottom.

    Args:
        groups: image batches (B_i, 3, H_i, W_i), normalised, padded with zeros.

    Returns:
        (sum B_i, 3, max H_i, max W_i).
    """
    height = max(group.shape[-2] for group in groups)
    width = max(group.shape[-1] for group in groups)
    return torch.cat(
        [pad(g, (0, width - g.shape[-1], 0, height - g.shape[-2])) for g in groups]
    )


def joint_features(
    detector: BaseDetector, groups: Sequence[Tensor], max_waste: float
) -> list[Features]:
    """Features of each image group, from one backbone pass where that pays.

    Args:
        detector: a detector with ``extract_feat``.
        groups: image batches (B_i, 3, H_i, W_i).
        max_waste: the groups share one pass if stacking them adds at most this share
            of pixels (see :func:`padding_waste`); negative: never.

    Returns:
        For each group a tuple of feature maps (B_i, C, h, w).
    """
    if len(groups) < 2 or padding_waste(groups) > max_waste:
        return [tuple(detector.extract_feat(group)) for group in groups]
    features = detector.extract_feat(stack_padded(groups))
    sizes = [group.shape[0] for group in groups]
    split = [level.split(sizes) for level in features]
    return [tuple(level[i] for level in split) for i in range(len(groups))]


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
    setattr(module, name, function)
    try:
        yield
    finally:
        delattr(module, name)


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
