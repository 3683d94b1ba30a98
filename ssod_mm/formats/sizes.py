"""Image size and anchors that suit a data set, from the sizes of its boxes."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssod_mm.errors import UserError

SMALL_BOX_PX = 16
"""Size at which a box is well seen: twice the smallest stride of the detectors here."""
STRIDES, MAX_PIXELS = (8, 16, 32, 64), 320 * 320
"""Of the configs for folders."""
MOST_BOXES = 5000
SCALES = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
_MULTIPLE = 4

Size = tuple[float, float]


@dataclass(frozen=True)
class Proposal:
    """Sizes for a data set.

    Attributes:
        view: long and short side of a view in pixels.
        anchor_scale: side of an anchor in strides.
        mean_iou: of a box with the anchor that suits it best.
        small_box: size in a view of the box below which a tenth of them lies: root of
            the area in pixels.
        pixels_for_small: pixels of a view that shows such a box at ``SMALL_BOX_PX``.
        image: long and short side of an image in pixels, the medians.
        num_boxes: how many boxes say so.
    """

    view: tuple[int, int]
    anchor_scale: float
    mean_iou: float
    small_box: float
    pixels_for_small: int
    image: tuple[int, int]
    num_boxes: int

    def __str__(self) -> str:
        wish = ""
        if self.small_box < SMALL_BOX_PX - 0.5:
            wish = (
                f" (at {SMALL_BOX_PX} px with max_pixels={self.pixels_for_small}, "
                "which takes longer)"
            )
        return (
            f"sizes that suit the {self.num_boxes} labelled boxes, in images of "
            f"{self.image[0]} x {self.image[1]}: views of {self.view[0]} x "
            f"{self.view[1]}, where a tenth of the boxes is below {self.small_box:.0f} "
            f"px{wish}; anchors of {self.anchor_scale:g} strides, whose mean IoU with "
            f"the boxes is {self.mean_iou:.2f}"
        )


def view_of_images(images: Sequence[Size], max_pixels: int) -> tuple[int, int]:
    """Long and short side of a view as large as the images.

    Args:
        images: width and height of each in pixels; without any the view is square.
        max_pixels: bound on the pixels of a view.
    """
    side = math.sqrt(max_pixels)
    long = statistics.median([max(size) for size in images] or [side])
    short = statistics.median([min(size) for size in images] or [side])
    factor = min(1.0, math.sqrt(max_pixels / (long * short)))
    return _rounded(long * factor), _rounded(short * factor)


def propose_sizes(
    images: Sequence[Size],
    boxes: Sequence[tuple[float, float, int]],
    strides: Sequence[int],
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
    max_pixels: int = MAX_PIXELS,
) -> Proposal:
    """Size of the views and scale of the anchors.

    A view is an image in its own size, or larger where a tenth of the boxes would be
    smaller than ``SMALL_BOX_PX``, but never of more than ``max_pixels``. The anchor
    scale is the one of ``SCALES`` with the largest :func:`mean_best_iou`, of equal ones
    the smallest.

    Args:
        images: width and height of each image in pixels.
        boxes: width, height and position of its image in ``images``, of each box.
        strides: of the levels that have anchors.
        ratios: height by width of the anchors.
        max_pixels: bound on the pixels of a view.

    Raises:
        UserError: there is no image, no box of positive size, or no room for a view.
    """
    shapes = [
        (w, h, max(images[n]), min(images[n])) for w, h, n in boxes if w > 0 and h > 0
    ]
    if not images or not shapes:
        raise UserError("no box says which sizes suit the data: set views and anchors")
    long = statistics.median(max(size) for size in images)
    short = statistics.median(min(size) for size in images)
    # A box in an image of the median size.
    sizes = sorted(math.sqrt(w * h) * long / side for w, h, side, _ in shapes)
    small = sizes[(len(sizes) - 1) // 10]
    wanted = max(1.0, SMALL_BOX_PX / small)
    factor = min(wanted, math.sqrt(max_pixels / (long * short)))
    view = _rounded(long * factor), _rounded(short * factor)
    if min(view) < _MULTIPLE:
        raise UserError(f"max_pixels={max_pixels} leaves no view of {long} x {short}")
    in_view = []
    for w, h, image_long, image_short in shapes:
        # The resize that keeps the ratio within both limits.
        f = min(view[0] / image_long, view[1] / image_short)
        in_view.append((w * f, h * f))
    fits = {scale: mean_best_iou(in_view, scale, strides, ratios) for scale in SCALES}
    best = max(SCALES, key=lambda scale: (fits[scale], -scale))
    return Proposal(
        view=view,
        anchor_scale=best,
        mean_iou=fits[best],
        small_box=small * factor,
        pixels_for_small=round(long * short * wanted**2),
        image=(round(long), round(short)),
        num_boxes=len(shapes),
    )


def mean_best_iou(
    boxes: Sequence[Size], scale: float, strides: Sequence[int], ratios: Sequence[float]
) -> float:
    """Mean IoU of boxes with the best anchor of the grid.

    The nearest anchor of a level is half a stride away at most, in either direction,
    and a quarter on average: that is how far it is taken to be.

    Args:
        boxes: width and height of each in pixels.
        scale: side of a square anchor in strides.
        strides: of the levels.
        ratios: height by width of the anchors.
    """
    anchors = [
        (scale * stride / math.sqrt(ratio), scale * stride * math.sqrt(ratio), stride)
        for stride in strides
        for ratio in ratios
    ]
    return statistics.fmean(
        max(_shifted_iou(box, (w, h), stride / 4) for w, h, stride in anchors)
        for box in boxes
    )


def _shifted_iou(one: Size, other: Size, shift: float) -> float:
    """IoU of two boxes whose centres differ by ``shift`` in both directions."""
    overlap = 1.0
    for a, b in zip(one, other, strict=True):
        overlap *= max(0.0, min(a, b, (a + b) / 2 - shift))
    return overlap / (one[0] * one[1] + other[0] * other[1] - overlap)


def _rounded(side: float) -> int:
    return max(1, round(side / _MULTIPLE)) * _MULTIPLE


def proposal_for(
    path: str | Path,
    strides: Sequence[int] = STRIDES,
    max_pixels: int = MAX_PIXELS,
) -> Proposal:
    """Sizes for the data of a COCO json; crowds do not count.

    Of more than ``MOST_BOXES`` boxes every n-th says enough.

    Args:
        path: the json of the labelled images alone: boxes that a training does not see
            say nothing.
        strides: of the levels that have anchors.
        max_pixels: bound on the pixels of a view.

    Raises:
        UserError: the file names no images with boxes.
    """
    try:
        coco = json.loads(Path(path).read_bytes())
        places = {image["id"]: n for n, image in enumerate(coco["images"])}
        images = [(image["width"], image["height"]) for image in coco["images"]]
        boxes = [
            (*annotation["bbox"][2:], places[annotation["image_id"]])
            for annotation in coco["annotations"]
            if not annotation.get("iscrowd") and annotation["image_id"] in places
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} says no sizes of images and boxes: {error}") from None
    boxes = boxes[:: math.ceil(len(boxes) / MOST_BOXES) or 1]
    return propose_sizes(images, boxes, strides, max_pixels=max_pixels)
