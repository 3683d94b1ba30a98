"""Pseudo labels carried from the teacher's weak view to the student's strong view."""

from __future__ import annotations

import torch
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.maths.boxes import (
    box_areas,
    clip_boxes,
    relative_homographies,
    visible_fractions,
    warp_boxes,
)
from ssod_mm.structures import PseudoBoxes


def view_homographies(samples: SampleList) -> Tensor:
    """Homographies from the original images to their views.

    Args:
        samples: data samples; a missing ``homography_matrix`` means that no
            geometric transform was applied.

    Returns:
        (B, 3, 3) float64 on the CPU.
    """
    return torch.stack(
        [
            torch.as_tensor(sample.get("homography_matrix", torch.eye(3))).double()
            for sample in samples
        ]
    )


def student_from_teacher(weak: SampleList, strong: SampleList) -> Tensor:
    """Homographies from each weak view to the strong view of the same image.

    Args:
        weak: data samples of the teacher's views.
        strong: data samples of the student's views, in the same image order.

    Returns:
        (B, 3, 3) float32 on the CPU.

    Raises:
        ValueError: if the two lists do not show the same images.
    """
    if [s.get("img_id") for s in weak] != [s.get("img_id") for s in strong]:
        raise ValueError("Weak and strong views of a batch show different images.")
    return relative_homographies(view_homographies(strong), view_homographies(weak))


def padded_patches(samples: SampleList) -> Tensor:
    """Erased patches of all images, zero-padded to (B, P, 4) float32."""
    patches = [
        torch.as_tensor(s.get("erased_patches", torch.zeros(0, 4))).float()
        for s in samples
    ]
    return torch.nn.utils.rnn.pad_sequence(patches, batch_first=True)


def to_student_view(
    guidance: PseudoBoxes,
    weak: SampleList,
    strong: SampleList,
    min_box_wh: tuple[float, float] = (1.0, 1.0),
    min_visible: float = 0.1,
    hull: str = "corners",
) -> PseudoBoxes:
    """Map, clip and filter boxes of all images of a batch at once.

    Args:
        guidance: boxes in weak-view pixels; all their fields are kept.
        weak: data samples of the weak views.
        strong: data samples of the strong views, in the same image order.
        min_box_wh: smallest width and height after clipping, in pixels.
        min_visible: smallest visible share of the mapped box, see
            :func:`~ssod_mm.maths.boxes.visible_fractions`.
        hull: see :func:`~ssod_mm.maths.boxes.warp_boxes`.

    Returns:
        New instances with boxes in strong-view pixels.
    """
    ignored = guidance.ignored
    parts = guidance.instances + (ignored or [])
    times = 2 if ignored is not None else 1
    moved = _moved(
        parts, list(weak) * times, list(strong) * times, min_box_wh, min_visible, hull
    )
    images = len(guidance.instances)
    return PseudoBoxes(moved[:images], moved[images:] if ignored is not None else None)


def _moved(
    instances: list[InstanceData],
    weak: SampleList,
    strong: SampleList,
    min_box_wh: tuple[float, float],
    min_visible: float,
    hull: str,
) -> list[InstanceData]:
    """What :func:`to_student_view` does, for one list of instances."""
    counts = [len(one) for one in instances]
    if not any(counts):
        return [one[:] for one in instances]
    boxes = torch.cat([one.bboxes for one in instances]).float()
    device = boxes.device
    image = torch.repeat_interleave(torch.tensor(counts)).to(device)
    matrices = student_from_teacher(weak, strong).to(device)[image]
    sizes = torch.tensor([s.img_shape[:2] for s in strong], device=device)[image]
    patches = padded_patches(strong).to(device)[image]

    mapped = warp_boxes(boxes, matrices, hull)
    visible = visible_fractions(mapped, sizes, patches)
    clipped = clip_boxes(mapped, sizes)
    sides = clipped[:, 2:] - clipped[:, :2]
    keep = (sides >= sides.new_tensor(min_box_wh)).all(1) & (visible >= min_visible)
    keep &= box_areas(clipped) > 0
    result = []
    for one, new, kept in zip(
        instances, clipped.split(counts), keep.split(counts), strict=True
    ):
        moved = one[kept]
        moved.bboxes = new[kept]
        result.append(moved)
    return result
