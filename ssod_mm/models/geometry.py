"""What is carried from the teacher's weak views to the student's strong views."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.maths.boxes import (
    are_large,
    clip_boxes,
    relative_homographies,
    visible_fractions,
    warp_boxes,
)
from ssod_mm.models.batched.padding import constant, image_numbers, uploaded
from ssod_mm.structures import PseudoBoxes, where_true

if TYPE_CHECKING:
    from ssod_mm.models.mixed_views import MixedViews


_NO_CHANGE = np.eye(3)
_NO_PATCHES = np.zeros((0, 4))


def view_homographies(samples: SampleList) -> Tensor:
    """Homographies from the original images to their views.

    Args:
        samples: data samples; a missing ``homography_matrix`` means that no
            geometric transform was applied.

    Returns:
        (B, 3, 3) float64 on the CPU.
    """
    matrices = [sample.get("homography_matrix", _NO_CHANGE) for sample in samples]
    return torch.from_numpy(np.stack(matrices).astype(np.float64))


def padded_patches(samples: SampleList) -> Tensor:
    """Erased patches of all images, zero-padded to (B, P, 4) float32."""
    patches = [np.asarray(s.get("erased_patches", _NO_PATCHES)) for s in samples]
    padded = np.zeros((len(patches), max(map(len, patches)), 4), np.float32)
    for row, some in zip(padded, patches, strict=True):
        row[: len(some)] = some
    return torch.from_numpy(padded)


class ViewMap:
    """Boxes of a batch's views, mapped to other views of the same images.

    Args:
        source: data samples of the views that the boxes lie in.
        target: data samples of the other views, in the same image order.
        device: where the boxes are.
        min_box_wh: smallest width and height of a visible box after clipping, pixels.
        min_visible: smallest share of a visible box inside the view and under no
            erased patch, see :func:`~ssod_mm.maths.boxes.visible_fractions`.
        hull: box around a rotated box, see :func:`~ssod_mm.maths.boxes.warp_boxes`.

    Attributes:
        matrices: homographies (B, 3, 3) float32 from each source view to its target.
        sizes: height and width (B, 2) of the target views.

    Raises:
        ValueError: if the two lists do not show the same images.
    """

    def __init__(
        self,
        source: SampleList,
        target: SampleList,
        device: torch.device,
        min_box_wh: tuple[float, float] = (1.0, 1.0),
        min_visible: float = 0.1,
        hull: str = "corners",
    ) -> None:
        if [s.get("img_id") for s in source] != [s.get("img_id") for s in target]:
            raise UserError("Weak and strong views of a batch show different images.")
        homographies = view_homographies(target), view_homographies(source)
        self.matrices = uploaded(relative_homographies(*homographies), device)
        self.sizes = constant(
            tuple(tuple(s.img_shape[:2]) for s in target), device, torch.int64
        )
        self.target = target
        self.min_box_wh = min_box_wh
        self.min_visible = min_visible
        self.hull = hull

    @cached_property
    def patches(self) -> Tensor:
        """Erased patches (B, P, 4) of the target views."""
        return uploaded(padded_patches(self.target), self.matrices.device)

    def unclipped(self, boxes_N4: Tensor, images_N: Tensor) -> Tensor:
        """Mapped boxes (N, 4), also where they leave the view."""
        return warp_boxes(boxes_N4, self.matrices[images_N], self.hull)

    def clipped(self, boxes_N4: Tensor, images_N: Tensor) -> Tensor:
        """Mapped boxes (N, 4), clipped to the view."""
        return clip_boxes(self.unclipped(boxes_N4, images_N), self.sizes[images_N])

    def within(self, mapped_N4: Tensor, images_N: Tensor) -> tuple[Tensor, Tensor]:
        """Mapped boxes (N, 4), clipped, and which reach ``min_box_wh`` (N,)."""
        clipped = clip_boxes(mapped_N4, self.sizes[images_N])
        return clipped, are_large(clipped, self.min_box_wh)

    def __call__(self, boxes_N4: Tensor, images_N: Tensor) -> tuple[Tensor, Tensor]:
        """Mapped and clipped boxes (N, 4), and whether each is visible (N,)."""
        return self.seen(self.unclipped(boxes_N4, images_N), images_N)

    def seen(self, mapped_N4: Tensor, images_N: Tensor) -> tuple[Tensor, Tensor]:
        """Mapped boxes (N, 4), clipped, and whether each is visible (N,)."""
        sizes = self.sizes[images_N]
        shares = visible_fractions(mapped_N4, sizes, self.patches[images_N])
        clipped = clip_boxes(mapped_N4, sizes)
        is_large = are_large(clipped, self.min_box_wh)
        return clipped, is_large & (shares >= self.min_visible)

    def guidance(
        self, guidance: PseudoBoxes, seen: tuple[Tensor, Tensor] | None = None
    ) -> PseudoBoxes:
        """Visible boxes of all images of a batch in the target views.

        Args:
            guidance: boxes in pixels of the source views; all their fields are kept.
            seen: what :meth:`__call__` says of them, where it is known.

        Returns:
            New instances, without ``extra``.
        """
        parts = [*guidance.instances, *(guidance.ignored or [])]
        num_images = len(guidance.instances)
        counts = [len(boxes) for boxes in parts]
        moved = [boxes[:] for boxes in parts]
        if any(counts):
            boxes = InstanceData.cat(moved)
            if seen is None:
                images = image_numbers(counts, self.matrices.device) % num_images
                seen = self(boxes.bboxes.float(), images)
            boxes.bboxes, visible = seen
            [moved] = where_true(boxes, counts, [visible])
        ignored = None if guidance.ignored is None else moved[num_images:]
        return PseudoBoxes(moved[:num_images], ignored, chosen=guidance.chosen)


class Findings:
    """What a teacher found beyond boxes; it goes with them from view to view.

    As it stands it is the same in all views.

    Attributes:
        seen_boxes: the boxes (N, 4) of all images in this frame and which of them are
            visible (N,), where the findings have mapped them themselves.
    """

    seen_boxes: tuple[Tensor, Tensor] | None = None

    def to_student_view(self, views: ViewMap) -> Findings:
        """The same in the strong views.

        Args:
            views: the map from weak to strong views.
        """
        return self

    def to_mixed_views(
        self, mixed: MixedViews, min_box_wh: tuple[float, float]
    ) -> Findings:
        """The same in images that show several strong views.

        Args:
            mixed: where the strong views are in the mixed images.
            min_box_wh: smallest width and height in a mixed image, in pixels.
        """
        return self
