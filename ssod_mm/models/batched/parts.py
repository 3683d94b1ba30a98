"""Losses of the parts of a batch, such as its labelled and its unlabelled half.

The heads treat the whole batch once; only the losses themselves are told apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from mmdet.models import BaseDetector
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.structures import SampleList
from torch import Tensor, nn

ROI_PARTS = "roi_losses_of_parts"
"""Under this key an RoI head gives the losses of each part, where there are parts."""

_EPS = torch.finfo(torch.float32).eps  # mmdet's losses add it to what they divide by


def sums_of_parts(values_B: Tensor, parts: Sequence[int] | None) -> list[Tensor]:
    """Sums of a value of each image over the images of each part.

    Args:
        values_B: (B,).
        parts: numbers of images of the parts; None for one part.
    """
    if parts is None:
        return [values_B.sum()]
    return [part.sum() for part in values_B.split(parts)]


def means_of_parts(
    losses: Tensor, counted: Sequence[Tensor], parts: Sequence[int] | None
) -> list[Tensor]:
    """The loss of each part: the sum of its elements by what counts in it.

    Args:
        losses: weighted elements of the loss, (B * S, ...), image after image.
        counted: what the sum of each part is divided by.
        parts: numbers of images of the parts; None for one part.
    """
    images = 1 if parts is None else sum(parts)
    sums = sums_of_parts(losses.view(images, -1).sum(1), parts)
    return [total / (count + _EPS) for total, count in zip(sums, counted, strict=True)]


def heads_of_parts(detector: nn.Module) -> list[nn.Module] | None:
    """The heads that must know the parts of a batch; None where one does not.

    Args:
        detector: any detector.
    """
    heads = []
    if type(detector).loss is TwoStageDetector.loss:
        heads = [getattr(detector, name, None) for name in ("rpn_head", "roi_head")]
    elif type(detector).loss is SingleStageDetector.loss:
        heads = [detector.bbox_head]
    knowing = all(hasattr(head, "parts") for head in heads)
    return heads if heads and knowing else None


@contextmanager
def _in_parts(heads: Sequence[nn.Module], parts: tuple[int, ...]) -> Iterator[None]:
    for head in heads:
        head.parts = parts
    try:
        yield
    finally:
        for head in heads:
            del head.parts


def losses_of_parts(
    detector: BaseDetector, samples: SampleList, parts: Sequence[int]
) -> list[dict]:
    """The detector's losses of each part of a batch, from one pass of its heads.

    Each is what ``detector.loss`` gives for the part alone, with the same random keys.

    Args:
        detector: a detector of which :func:`heads_of_parts` knows the heads, and whose
            features are replaced (see :func:`~ssod_mm.models.features.use_features`).
        samples: data samples of all images, part after part.
        parts: numbers of images of the parts.

    Returns:
        For each part mmdet's loss dict.
    """
    with _in_parts(heads_of_parts(detector), tuple(parts)):
        losses = dict(detector.loss(None, samples))
    of_roi = losses.pop(ROI_PARTS, [{}] * len(parts))
    return [
        {**{key: [values[part]] for key, values in losses.items()}, **of_roi[part]}
        for part in range(len(parts))
    ]
