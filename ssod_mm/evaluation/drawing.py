"""Detections and pseudo labels drawn on images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.models.data_preprocessors import (
    DetDataPreprocessor,
    MultiBranchDataPreprocessor,
)
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.structures import class_probabilities

Colour = tuple[int, int, int]

PSEUDO_COLOUR: Colour = (255, 140, 0)
TRUTH_COLOUR: Colour = (0, 200, 80)
MIN_LONG_SIDE = 480
_MARGIN = 6
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def to_picture(
    inputs_3HW: Tensor,
    preprocessor: DetDataPreprocessor | MultiBranchDataPreprocessor,
    shape: tuple[int, int],
) -> np.ndarray:
    """Undo normalisation and padding.

    Args:
        inputs_3HW: (3, H, W) an image as the model sees it.
        preprocessor: what normalised it; images are taken to be loaded as BGR.
        shape: height and width of the image without its padding, in pixels.

    Returns:
        (h, w, 3) uint8 RGB, contiguous.
    """
    inner = getattr(preprocessor, "data_preprocessor", preprocessor)
    height, width = shape
    image = inputs_3HW.detach()[:, :height, :width].float()
    if getattr(inner, "_enable_normalize", False):
        image = image * inner.std.to(image) + inner.mean.to(image)
    if not getattr(inner, "_channel_conversion", False):
        image = image.flip(0)
    picture = image.round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0)
    return np.ascontiguousarray(picture.cpu().numpy())


def legible_scale(picture: np.ndarray) -> int:
    """Integer factor that makes the long side at least ``MIN_LONG_SIDE`` pixels."""
    return max(1, -(-MIN_LONG_SIDE // max(picture.shape[:2])))


def enlarged(picture: np.ndarray, factor: int) -> np.ndarray:
    """The picture with its sides ``factor`` times as long."""
    if factor == 1:
        return picture
    size = (picture.shape[1] * factor, picture.shape[0] * factor)
    return cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR)


def draw_boxes(
    picture: np.ndarray,
    boxes_N4: np.ndarray,
    captions: Sequence[str],
    colours: Colour | Sequence[Colour],
    thickness: int = 2,
) -> np.ndarray:
    """Draw boxes with captions, in place.

    Args:
        picture: (H, W, 3) uint8 RGB, contiguous; changed.
        boxes_N4: (N, 4) xyxy in pixels of the picture; boxes without area are left out.
        captions: N texts; an empty one is not drawn.
        colours: one for all boxes, or N.
        thickness: thickness of the lines, in pixels.

    Returns:
        The same picture.
    """
    if len(captions) != len(boxes_N4):
        raise UserError(f"{len(boxes_N4)} boxes but {len(captions)} captions.")
    if len(colours) == 3 and isinstance(colours[0], int):
        colours = [colours] * len(boxes_N4)
    for box, caption, colour in zip(boxes_N4, captions, colours, strict=True):
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        x1, y1, x2, y2 = (round(float(side)) for side in box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, thickness)
        if caption:
            _write(picture, caption, (x1, y1), colour)
    return picture


def _write(
    picture: np.ndarray, text: str, corner: tuple[int, int], ground: Colour
) -> None:
    """Write text on a filled ground above the corner or, at the border, below it."""
    (width, height), base = cv2.getTextSize(text, _FONT, 0.42, 1)
    x = int(np.clip(corner[0], 0, max(picture.shape[1] - width - 2, 0)))
    y = corner[1] if corner[1] >= height + base else corner[1] + height + base
    cv2.rectangle(picture, (x, y - height - base), (x + width + 2, y), ground, -1)
    ink = (0, 0, 0) if sum(ground) > 380 else (255, 255, 255)
    cv2.putText(picture, text, (x + 1, y - base + 1), _FONT, 0.42, ink, 1, cv2.LINE_AA)


def titled(picture: np.ndarray, title: str) -> np.ndarray:
    """The picture with a line of text above it."""
    bar = np.full((20, picture.shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(bar, title, (2, 14), _FONT, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([bar, picture])


def side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures from left to right on white, tops aligned."""
    return _tiled(pictures, axis=1)


def stacked(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures from top to bottom on white, left sides aligned."""
    return _tiled(pictures, axis=0)


def _tiled(pictures: Sequence[np.ndarray], axis: int) -> np.ndarray:
    """Join along ``axis``, pad the other side to the largest, leave a margin."""
    other = 1 - axis
    largest = max(picture.shape[other] for picture in pictures)
    tiles = []
    for number, picture in enumerate(pictures):
        pad = [(0, 0), (0, 0), (0, 0)]
        pad[axis] = (_MARGIN if number else 0, 0)
        pad[other] = (0, largest - picture.shape[other])
        tiles.append(np.pad(picture, pad, constant_values=255))
    return np.concatenate(tiles, axis=axis)


def class_colours(num_classes: int) -> list[Colour]:
    """Colours that tell classes apart: hues around the circle, full and darker."""
    hues = (np.arange(num_classes) * 0.618034 % 1.0 * 179).astype(np.uint8)
    values = np.where(np.arange(num_classes) % 2, 190, 255).astype(np.uint8)
    hsv = np.stack([hues, np.full_like(hues, 200), values], axis=1)[None]
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0]
    return [tuple(int(value) for value in colour) for colour in rgb]


def sure_detections(prediction: DetDataSample, score_thr: float) -> InstanceData:
    """Detections of a class probability of at least ``score_thr``, on the CPU.

    Args:
        prediction: with ``pred_instances``.
        score_thr: in [0, 1].
    """
    instances = prediction.pred_instances
    return instances[class_probabilities(instances) >= score_thr].cpu()


def detections_picture(
    source: Path | np.ndarray,
    prediction: DetDataSample,
    classes: Sequence[str],
    score_thr: float,
) -> np.ndarray:
    """An image with its detections drawn.

    Args:
        source: the image file, or (H, W, 3) uint8 BGR.
        prediction: with ``pred_instances`` in pixels of the image.
        classes: names behind the labels.
        score_thr: least class probability to draw, in [0, 1].

    Returns:
        (H, W, 3) uint8 BGR, as OpenCV reads and writes it.
    """
    is_file = isinstance(source, Path)
    picture = cv2.imread(str(source), cv2.IMREAD_COLOR) if is_file else source.copy()
    detections = sure_detections(prediction, score_thr)
    # the best are drawn last, on top
    detections = detections[detections.scores.argsort()]
    labels = detections.labels.tolist()
    probabilities = class_probabilities(detections).tolist()
    colours = class_colours(len(classes))
    return draw_boxes(
        picture,
        detections.bboxes.numpy(),
        [
            f"{classes[label]} {score:.2f}"
            for label, score in zip(labels, probabilities, strict=True)
        ],
        [colours[label][::-1] for label in labels],
    )


def draw_detections(
    source: Path,
    prediction: DetDataSample,
    classes: Sequence[str],
    score_thr: float,
    target: Path,
) -> None:
    """Write an image file with its detections drawn.

    Args:
        source: the image file.
        prediction: with ``pred_instances`` in pixels of the image.
        classes: names behind the labels.
        score_thr: least class probability to draw, in [0, 1].
        target: the file to write, of the same format; missing folders are created.
    """
    picture = detections_picture(source, prediction, classes, score_thr)
    target.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(target), picture)
