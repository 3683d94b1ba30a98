"""Boxes of a batch as padded tensors, and constants on the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from mmdet.structures.bbox import get_box_tensor
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

NO_OBJECT = -1e4
"""Logit of what is no object, which float16 can hold."""


@lru_cache(maxsize=1024)
def constant(
    values: tuple, device: torch.device, dtype: torch.dtype = torch.float32
) -> Tensor:
    """A tensor of few host values on a device; not to be changed in place.

    Equal values share one tensor, so that what stays the same from step to step, or
    between heads, is uploaded once; new values do not make the host wait.

    Args:
        values: numbers, or tuples of them.
        device: where the tensor is wanted.
        dtype: its type.
    """
    return uploaded(torch.tensor(values, dtype=dtype), device)


def uploaded(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the host on a device, for which the host does not wait."""
    if torch.device(device).type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor


def image_numbers(counts: Sequence[int], device: torch.device) -> Tensor:
    """(N,) image of each row that stands image after image."""
    numbers = [image for image, count in enumerate(counts) for _ in range(count)]
    return uploaded(torch.tensor(numbers, dtype=torch.int64), device)


@dataclass(frozen=True)
class PaddedBoxes:
    """Boxes of a batch.

    Attributes:
        boxes: (B, M, 4) xyxy, M at least 1; zeros behind the boxes of an image.
        labels: (B, M) int64.
        real: (B, M) which are boxes.
    """

    boxes: Tensor
    labels: Tensor
    real: Tensor


def first_ones(counts: Sequence[int], width: int, device: torch.device) -> Tensor:
    """(B, width) bool: the first ``counts[b]`` of row b."""
    places = torch.arange(width, device=device)
    return places < constant(tuple(counts), device, torch.int64)[:, None]


def padded_boxes(instances: Sequence[InstanceData], like: Tensor) -> PaddedBoxes:
    """Boxes of each image as one tensor.

    Args:
        instances: per image ``bboxes`` and ``labels``.
        like: a tensor on the device.
    """
    counts = [len(image.bboxes) for image in instances]
    if not any(counts):
        size = (len(counts), 1)
        return PaddedBoxes(
            like.new_zeros((*size, 4), dtype=torch.float32),
            like.new_zeros(size, dtype=torch.int64),
            like.new_zeros(size, dtype=torch.bool),
        )
    boxes = [get_box_tensor(image.bboxes).reshape(-1, 4).float() for image in instances]
    return PaddedBoxes(
        pad_sequence(boxes, batch_first=True),
        pad_sequence([image.labels for image in instances], batch_first=True),
        first_ones(counts, max(counts), like.device),
    )


def padded_ignored(
    instances: Sequence[InstanceData | None] | None, like: Tensor
) -> tuple[Tensor, Tensor] | tuple[None, None]:
    """Ignored boxes (B, K, 4) and which are real; twice None where there are none."""
    boxes = [
        like.new_zeros((0, 4), dtype=torch.float32)
        if image is None or "bboxes" not in image
        else get_box_tensor(image.bboxes).reshape(-1, 4).float()
        for image in instances or ()
    ]
    counts = [len(image_boxes) for image_boxes in boxes]
    if not any(counts):
        return None, None
    real = first_ones(counts, max(counts), like.device)
    return pad_sequence(boxes, batch_first=True), real


def image_sizes(metas: Sequence[dict], device: torch.device) -> Tensor:
    """(B, 4) width, height, width, height of each image: limits of its boxes."""
    sizes = [meta["img_shape"][:2] for meta in metas]
    limits = tuple((float(w), float(h), float(w), float(h)) for h, w in sizes)
    return constant(limits, device)
