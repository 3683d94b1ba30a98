"""Colour edits of a view: fast, on uint8 BGR images, with continuous magnitudes.

An edit is drawn first and applied later, so that a transform which also resamples
the image can apply a pointwise edit (one that looks at a single pixel, through a
table or a matrix) where there are fewer pixels. None of the functions writes into
the image it is given.

Shape legend: H, W image height and width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from ssod_mm.errors import UserError

_GREY_BGR = np.array([0.114, 0.587, 0.299])  # ITU-R BT.601 luma, as in OpenCV
_LEVELS = np.arange(256, dtype=np.float64)


@dataclass(frozen=True)
class ColourEdit:
    """One drawn colour edit.

    Attributes:
        apply: function of a uint8 BGR image (H, W, 3) that returns a new one, or the
            same object when there is nothing to do.
        pointwise: whether each output pixel depends on one input pixel (and on
            statistics of the whole image), so that it may run before a resize.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    pointwise: bool = True


def identity(img: np.ndarray) -> np.ndarray:
    """The image itself."""
    return img


def auto_contrast(img: np.ndarray) -> np.ndarray:
    """Stretch each channel to the full range [0, 255]."""
    tables = []
    for histogram in _histograms(img):
        used = np.flatnonzero(histogram)
        low, high = used[0], used[-1]
        scale = 255.0 / (high - low) if high > low else 1.0
        offset = low if high > low else 0
        tables.append((_LEVELS - offset) * scale)
    return _look_up(img, tables)


def equalize(img: np.ndarray) -> np.ndarray:
    """Flatten the histogram of each channel."""
    tables = []
    for histogram in _histograms(img):
        used = histogram[histogram > 0]
        step = int(used.sum() - used[-1]) // 255
        if step == 0:
            tables.append(_LEVELS)
            continue
        before = np.concatenate([[0], np.cumsum(histogram)[:-1]])
        tables.append((before + step // 2) // step)
    return _look_up(img, tables)


def posterize(img: np.ndarray, bits: float) -> np.ndarray:
    """Keep the ``ceil(bits)`` (1 to 8) highest bits of each value."""
    kept = min(max(int(np.ceil(bits)), 1), 8)
    mask = 256 - (1 << (8 - kept))
    return _look_up(img, [np.arange(256) & mask])


def solarize(img: np.ndarray, threshold: float) -> np.ndarray:
    """Invert the values at or above ``threshold`` (0 to 256)."""
    return _look_up(img, [np.where(threshold > _LEVELS, _LEVELS, 255 - _LEVELS)])


def brightness(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with black: 0 is black, 1 the image itself."""
    return _look_up(img, [_LEVELS * factor])


def contrast(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the image's mean grey: 0 is plain grey, 1 the image itself."""
    return _look_up(img, [_LEVELS * factor + mean_grey(img) * (1 - factor)])


def colour(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with the grey image: 0 is grey, 1 the image itself."""
    return cv2.transform(img, saturation_matrix(factor))


def sharpness(img: np.ndarray, factor: float) -> np.ndarray:
    """Blend with a smoothed image: 0 is smooth, 1 the image itself, 2 sharp.

    The smoothing kernel has weight 5/13 in the middle and 1/13 around; it is written
    as a mix of the image and its 3x3 box mean, which is much faster.
    """
    box_weight = (1 - factor) * 9 / 13
    box = cv2.blur(img, (3, 3))
    return cv2.addWeighted(img, 1 - box_weight, box, box_weight, 0)


def mean_grey(img: np.ndarray) -> float:
    """Mean luma of a BGR image, in [0, 255]."""
    return float(np.dot(cv2.mean(img)[:3], _GREY_BGR))


def saturation_matrix(factor: float) -> np.ndarray:
    """Matrix (3, 3) on BGR values that blends a pixel with its grey value."""
    return factor * np.eye(3) + (1 - factor) * np.tile(_GREY_BGR, (3, 1))


def _histograms(img: np.ndarray) -> list[np.ndarray]:
    """Histogram (256,) of each channel."""
    return [
        cv2.calcHist([img], [channel], None, [256], [0, 256]).ravel().astype(np.int64)
        for channel in range(img.shape[2])
    ]


def _look_up(img: np.ndarray, tables: Sequence[np.ndarray]) -> np.ndarray:
    """Image through one table (256,) for all channels, or one for each."""
    table = np.stack(tables, axis=-1)[None]
    return cv2.LUT(img, np.clip(np.rint(table), 0, 255).astype(np.uint8))


# Name -> (function, range of its magnitude, pointwise). The ranges are those of the
# reference Soft Teacher settings.
_OPS: dict[str, tuple[Callable[..., np.ndarray], tuple[float, float] | None, bool]] = {
    "identity": (identity, None, True),
    "auto_contrast": (auto_contrast, None, True),
    "equalize": (equalize, None, True),
    "posterize": (posterize, (0.0, 4.0), True),
    "solarize": (solarize, (0.0, 256.0), True),
    "brightness": (brightness, (0.1, 1.9), True),
    "contrast": (contrast, (0.1, 1.9), True),
    "colour": (colour, (0.1, 1.9), True),
    "sharpness": (sharpness, (0.1, 1.9), False),
}
# Operations that can leave an image of few grey levels without any contrast, and the
# share of the contrast below which it counts as wiped out.
_WIPE_OUT, _LEAST_CONTRAST = ("posterize", "solarize"), 0.05
COLOUR_OPS = tuple(_OPS)


class ColourTransform(BaseTransform):
    """Base of the colour transforms: subclasses draw a :class:`ColourEdit`."""

    def draw(self) -> ColourEdit:
        """Draw an edit from the global numpy generator."""
        raise NotImplementedError

    def transform(self, results: dict) -> dict:
        """Draw an edit and apply it to ``results["img"]``."""
        check_image(results["img"], self)
        results["img"] = self.draw().apply(results["img"])
        return results


def check_image(img: np.ndarray, owner: object) -> None:
    """Refuse what the colour edits cannot handle.

    Raises:
        ValueError: if the image is not uint8 with three channels.
    """
    if img.dtype != np.uint8 or img.ndim != 3 or img.shape[2] != 3:
        raise UserError(
            f"{type(owner).__name__} works on uint8 images of shape (H, W, 3), not on "
            f"{img.dtype} of shape {img.shape}: load with color_type='color' and "
            "without to_float32."
        )


def unless_wiped_out(img: np.ndarray, edited: np.ndarray) -> np.ndarray:
    """``edited``, or the image itself where the edit left it no contrast.

    Solarised, a drawing in black on white is all black: nothing is left of the objects
    that a detector would be taught there.

    Args:
        img: uint8 BGR image (H, W, 3).
        edited: the same after an edit.
    """
    before, after = (cv2.meanStdDev(pixels)[1].sum() for pixels in (img, edited))
    return edited if after >= _LEAST_CONTRAST * before else img


@TRANSFORMS.register_module()
class OneColour(ColourTransform):
    """Exactly one colour operation, drawn with equal chances.

    Magnitudes are continuous and uniform in the operation's range. An image of few
    grey levels that solarising or posterising would wipe out stays as it is. Statistics
    (``contrast``, ``equalize``, ``auto_contrast``) are those of the image before any
    geometric fill.

    Args:
        ops: names out of ``COLOUR_OPS``, or dicts ``dict(op=name, range=(low, high))``
            to change a range.

    Raises:
        ValueError: if an operation is unknown, takes no range or the list is empty.
    """

    def __init__(self, ops: Sequence[str | dict] = COLOUR_OPS) -> None:
        if not ops:
            raise UserError("OneColour.ops is empty: name at least 'identity'.")
        self.ops = [_parse_op(op) for op in ops]

    def draw(self) -> ColourEdit:
        """Draw one operation and its magnitude."""
        name, limits = self.ops[np.random.randint(len(self.ops))]
        function, _, pointwise = _OPS[name]
        if limits is None:
            return ColourEdit(function, pointwise)
        magnitude = np.random.uniform(*limits)
        if name in _WIPE_OUT:
            return ColourEdit(
                lambda img: unless_wiped_out(img, function(img, magnitude)), pointwise
            )
        return ColourEdit(lambda img: function(img, magnitude), pointwise)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(ops={self.ops})"


def _parse_op(op: str | dict) -> tuple[str, tuple[float, float] | None]:
    """Name and range of one entry of ``OneColour.ops``."""
    given = {"op": op} if isinstance(op, str) else dict(op)
    name = given.get("op")
    if name not in _OPS or set(given) - {"op", "range"}:
        raise UserError(
            f"OneColour.ops: {op!r} is none of {', '.join(COLOUR_OPS)} "
            "(write a name, or dict(op=name, range=(low, high)))."
        )
    default = _OPS[name][1]
    if "range" not in given:
        return name, default
    if default is None:
        raise UserError(f"OneColour.ops: {name!r} has no magnitude, so no range.")
    low, high = given["range"]
    if low > high:
        raise UserError(f"OneColour.ops: range of {name!r} is reversed: {low}, {high}.")
    return name, (float(low), float(high))
