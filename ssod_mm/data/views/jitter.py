"""Colour jitter and Gaussian blur, each on its own switch."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from mmdet.registry import TRANSFORMS

from ssod_mm.data.views.colour import (
    ColourEdit,
    ColourTransform,
    identity,
    mean_grey,
    saturation_matrix,
)
from ssod_mm.errors import UserError

# Rows Y, I, Q from the columns B, G, R of a BGR pixel.
_YIQ_FROM_BGR = np.array(
    [[0.114, 0.587, 0.299], [-0.3213, -0.2744, 0.5957], [0.3111, -0.5226, 0.2115]]
)
_BGR_FROM_YIQ = np.linalg.inv(_YIQ_FROM_BGR)


def hue_matrix(turn: float) -> np.ndarray:
    """Matrix (3, 3) on BGR values that turns the hue and keeps the luma.

    Args:
        turn: share of a full turn of the colour circle, in [-0.5, 0.5].
    """
    angle = 2 * np.pi * turn
    rotation = np.eye(3)
    rotation[1:, 1:] = [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    return _BGR_FROM_YIQ @ rotation @ _YIQ_FROM_BGR


def jitter(
    img: np.ndarray, brightness: float, contrast: float, saturation: float, hue: float
) -> np.ndarray:
    """Brightness, contrast, saturation and hue, in this order, as one matrix.

    All four are affine in a pixel's BGR values, so their product is applied in one
    pass and the values are clipped to [0, 255] once, at the end.

    Args:
        img: uint8 BGR image (H, W, 3).
        brightness: factor on the values; 1 changes nothing.
        contrast: factor on the distance from the mean grey; 1 changes nothing.
        saturation: factor on the distance from the pixel's grey; 1 changes nothing.
        hue: share of a full turn of the colour circle; 0 changes nothing.
    """
    matrix = np.empty((3, 4))
    matrix[:, :3] = hue_matrix(hue) @ saturation_matrix(saturation)
    matrix[:, :3] *= brightness * contrast
    matrix[:, 3] = (1 - contrast) * brightness * mean_grey(img)
    return cv2.transform(img, matrix)


def blur(img: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with a standard deviation of ``sigma`` pixels."""
    size = 2 * int(np.ceil(2.5 * sigma)) + 1
    return cv2.GaussianBlur(img, (size, size), sigma)


@TRANSFORMS.register_module()
class ColourJitter(ColourTransform):
    """Brightness, contrast, saturation and hue, each by an amount drawn uniformly.

    Args:
        brightness: the factor is drawn from ``1 -+ brightness``.
        contrast: the factor is drawn from ``1 -+ contrast``.
        saturation: the factor is drawn from ``1 -+ saturation``.
        hue: the turn is drawn from ``-+ hue``, in full turns, at most 0.5.
        prob: chance that anything is done.

    Raises:
        ValueError: if an amount or the chance is out of bounds.
    """

    def __init__(
        self,
        brightness: float = 0.4,
        contrast: float = 0.4,
        saturation: float = 0.4,
        hue: float = 0.1,
        prob: float = 0.8,
    ) -> None:
        amounts = (brightness, contrast, saturation, hue)
        if min(amounts) < 0 or max(amounts[:3]) > 1 or hue > 0.5:
            raise UserError(
                "ColourJitter: brightness, contrast and saturation must be within "
                f"[0, 1] and hue within [0, 0.5]; got {amounts}."
            )
        self.amounts = amounts
        self.prob = _chance(prob, self)

    def draw(self) -> ColourEdit:
        """Draw the four amounts."""
        active = np.random.rand() < self.prob
        offsets = np.random.uniform(-1, 1, size=4) * self.amounts
        if not active:
            return ColourEdit(identity)
        brightness, contrast, saturation = 1 + offsets[:3]
        return ColourEdit(
            partial(
                jitter,
                brightness=brightness,
                contrast=contrast,
                saturation=saturation,
                hue=offsets[3],
            )
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}(amounts={self.amounts}, prob={self.prob})"


@TRANSFORMS.register_module()
class RandomBlur(ColourTransform):
    """Gaussian blur with a standard deviation drawn uniformly.

    Args:
        sigma: range of the standard deviation in pixels, low > 0.
        prob: chance that anything is done.

    Raises:
        ValueError: if the range or the chance is out of bounds.
    """

    def __init__(
        self, sigma: tuple[float, float] = (0.1, 2.0), prob: float = 0.5
    ) -> None:
        if not 0 < sigma[0] <= sigma[1]:
            raise UserError(f"RandomBlur.sigma={sigma} must be 0 < low <= high.")
        self.sigma = sigma
        self.prob = _chance(prob, self)

    def draw(self) -> ColourEdit:
        """Draw the standard deviation."""
        active = np.random.rand() < self.prob
        sigma = np.random.uniform(*self.sigma)
        if not active:
            return ColourEdit(identity)
        return ColourEdit(partial(blur, sigma=sigma), pointwise=False)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sigma={self.sigma}, prob={self.prob})"


def _chance(prob: float, owner: object) -> float:
    """The chance, checked."""
    if not 0 <= prob <= 1:
        raise UserError(f"{type(owner).__name__}.prob={prob} is not within [0, 1].")
    return prob
