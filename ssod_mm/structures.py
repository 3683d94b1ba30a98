"""What passes between teacher, student and the hooks that watch them."""

from __future__ import annotations

from dataclasses import dataclass

from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor


@dataclass(frozen=True)
class PseudoBoxes:
    """The teacher's boxes for a batch of unlabelled images, in one frame.

    Attributes:
        instances: one ``InstanceData`` per image with ``bboxes`` (N, 4) float32
            xyxy in pixels of that frame, ``scores`` (N,) in [0, 1] and ``labels``
            (N,) int64; a method may carry more fields per box along.
        ignored: per image the boxes that are neither taught nor background, with the
            same fields; None for none anywhere.
    """

    instances: list[InstanceData]
    ignored: list[InstanceData] | None = None

    def __len__(self) -> int:
        """Number of images."""
        return len(self.instances)


@dataclass(frozen=True)
class TeachingStep:
    """One unlabelled step, kept for hooks that log or draw; holds no graph.

    Attributes:
        inputs_weak: teacher's images after preprocessing, (B, 3, H, W).
        inputs_strong: student's images after preprocessing, (B, 3, H', W').
        samples_weak: data samples of the weak views (``homography_matrix`` etc.).
        samples_strong: data samples of the strong views, in the same image order.
        labels_weak: kept pseudo labels in the weak views' pixels.
        labels_strong: the same labels after the map into the strong views, less
            those that left the view or were hidden.
    """

    inputs_weak: Tensor
    inputs_strong: Tensor
    samples_weak: SampleList
    samples_strong: SampleList
    labels_weak: PseudoBoxes
    labels_strong: PseudoBoxes
