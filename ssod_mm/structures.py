"""What passes between teacher, student and the hooks that watch them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any

import torch
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor


def class_probabilities(detections: InstanceData) -> Tensor:
    """Class probabilities (N,) of detections, whatever ranked them.

    A head with a localisation quality keeps them as ``cls_scores``, because its
    ``scores`` rank by both; else ``scores`` are the probabilities.
    """
    return detections.get("cls_scores", detections.scores)


@dataclass(frozen=True)
class PseudoBoxes:
    """The teacher's boxes for a batch of unlabelled images, in one frame.

    Attributes:
        instances: one ``InstanceData`` per image with ``bboxes`` (N, 4) float32
            xyxy in pixels of that frame, ``scores`` (N,) in [0, 1] and ``labels``
            (N,) int64; a method may carry more fields per box along.
        ignored: per image the boxes that are neither taught nor background, with the
            same fields; None for none anywhere.
        extra: what the teacher found beyond boxes, a ``Findings``; it goes along
            wherever the boxes go. None for nothing.
        chosen: whether the teacher itself has chosen what is taught, so that no score
            threshold applies.
    """

    instances: list[InstanceData]
    ignored: list[InstanceData] | None = None
    extra: Any = None
    chosen: bool = False

    def __len__(self) -> int:
        """Number of images."""
        return len(self.instances)

    @property
    def num_boxes(self) -> int:
        """Boxes of all images, without the ignored ones."""
        return sum(len(boxes) for boxes in self.instances)

    def bare(self) -> PseudoBoxes:
        """The boxes alone, so that nothing keeps feature maps alive."""
        return replace(self, extra=None)


@dataclass(frozen=True)
class GuidedLosses:
    """What a part of the student learns from guidance, before alpha and by plain names.

    Attributes:
        losses: by their mmdet names, without ``unsup_``.
        num_targets: pseudo labels, or clusters, that they come from; where no process
            has any, ``empty_weight`` applies.
        figures: scalars for the log under names of their own, without "loss" in them.
    """

    losses: Mapping[str, Any]
    num_targets: int
    figures: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class TeachingStep:
    """One unlabelled step, kept for hooks that log or draw; holds no graph.

    Attributes:
        inputs_weak: teacher's images after preprocessing, (B, 3, H, W); None unless
            somebody asked for images in this iteration (``model.keeps_images``).
        inputs_strong: student's images after preprocessing, (B, 3, H', W'), or None.
        samples_weak: data samples of the weak views (``homography_matrix`` etc.).
        samples_strong: data samples of the strong views, in the same image order.
        labels_weak: kept pseudo labels in the weak views' pixels.
        labels_strong: the same labels after the map into the strong views, less
            those that left the view or were hidden.
    """

    inputs_weak: Tensor | None
    inputs_strong: Tensor | None
    samples_weak: SampleList
    samples_strong: SampleList
    labels_weak: PseudoBoxes
    labels_strong: PseudoBoxes


def split_instances(
    instances: InstanceData, counts: Sequence[int]
) -> list[InstanceData]:
    """Instances of each image, as views.

    Args:
        instances: of all images, image after image.
        counts: how many are of each image.
    """
    spans = zip(accumulate(counts), counts, strict=True)
    return [instances[end - count : end] for end, count in spans]


def where_true(
    instances: InstanceData, counts: Sequence[int], masks: Sequence[Tensor]
) -> list[list[InstanceData]]:
    """Instances of each image for which a mask is true.

    The masks reach the host in one fetch; indexing by a mask would make it wait once
    for each field of each image.

    Args:
        instances: N of all images, image after image.
        counts: how many are of each image.
        masks: (N,) bool each.

    Returns:
        For each mask the instances of each image.
    """
    chosen = []
    for mask in torch.stack(list(masks)).cpu().numpy():
        rows = torch.from_numpy(mask.nonzero()[0])
        rows = rows.to(masks[0].device, non_blocking=True)
        ends = list(accumulate(counts))
        spans = zip(ends, counts, strict=True)
        numbers = [int(mask[end - count : end].sum()) for end, count in spans]
        chosen.append(split_instances(instances[rows], numbers))
    return chosen
