"""Geometry of a view: resize, flip and one affine operation in one resampling.

Coordinates are continuous pixels: pixel ``i`` covers ``[i, i + 1]``, so a resize is
a pure scale by the real (rounded) sizes and a flip is ``x' = w - x``. OpenCV's
``warpAffine`` counts from pixel centres instead; the half-pixel shifts between the
two happen in :func:`to_pixel_centres` and nowhere else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

AFFINE_OPS = ("translate_x", "translate_y", "rotate", "shear_x", "shear_y")


@dataclass(frozen=True)
class ViewGeometry:
    """Everything that was drawn for one view.

    Attributes:
        source: (height, width) of the image before.
        size: (height, width) of the view.
        flip: whether the view is flipped horizontally.
        affine: (3, 3) float64 map within the view, after resize and flip.
        shift: (dx, dy) when ``affine`` is a translation by whole pixels, else None.
    """

    source: tuple[int, int]
    size: tuple[int, int]
    flip: bool = False
    affine: np.ndarray = field(default_factory=lambda: np.eye(3))
    shift: tuple[int, int] | None = (0, 0)

    @property
    def matrix(self) -> np.ndarray:
        """Homography (3, 3) float64 from the image before to the view."""
        height, width = self.size
        flip = np.eye(3)
        if self.flip:
            flip[0] = [-1, 0, width]
        scale = np.diag([width / self.source[1], height / self.source[0], 1.0])
        return self.affine @ flip @ scale


def affine_matrix(
    op: str, magnitude: float, size: tuple[int, int], about: str | None = None
) -> np.ndarray:
    """Map (3, 3) float64 within a view of (height, width) pixels.

    Args:
        op: one of ``AFFINE_OPS``.
        magnitude: degrees (rotations are clockwise on the screen), or the share of
            the view's width or height for a translation, which is rounded to whole
            pixels so that the view is not blurred for nothing.
        size: (height, width) of the view.
        about: the fixed point, ``"centre"`` or ``"corner"`` (top left). Default:
            the centre for rotations; the corner for shears, as in the reference
            Soft Teacher settings.
    """
    height, width = size
    matrix = np.eye(3)
    if op == "translate_x":
        matrix[0, 2] = round(magnitude * width)
        return matrix
    if op == "translate_y":
        matrix[1, 2] = round(magnitude * height)
        return matrix
    angle = np.deg2rad(magnitude)
    if op == "rotate":
        cos, sin = np.cos(angle), np.sin(angle)
        matrix[:2, :2] = [[cos, -sin], [sin, cos]]
    elif op == "shear_x":
        matrix[0, 1] = np.tan(angle)
    else:
        matrix[1, 0] = np.tan(angle)
    if (about or ("centre" if op == "rotate" else "corner")) == "centre":
        centre = np.array([width / 2, height / 2])
        matrix[:2, 2] = centre - matrix[:2, :2] @ centre
    return matrix


def to_pixel_centres(matrix: np.ndarray) -> np.ndarray:
    """The same map (3, 3) in coordinates where pixel ``i`` sits at ``i``."""
    half = np.eye(3)
    half[:2, 2] = 0.5
    back = np.eye(3)
    back[:2, 2] = -0.5
    return back @ matrix @ half


def render(img: np.ndarray, view: ViewGeometry, fill: Sequence[float]) -> np.ndarray:
    """Image of a view by bilinear interpolation; never writes into ``img``.

    Returns:
        The view's pixels; ``img`` itself when the view changes nothing.
    """
    height, width = view.size
    if view.shift is None:
        return cv2.warpAffine(
            img,
            to_pixel_centres(view.matrix)[:2],
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fill,
        )
    if view.size != view.source:
        img = cv2.resize(img, (width, height), interpolation=cv2.INTER_LINEAR)
    if view.flip:
        img = cv2.flip(img, 1)
    return img if view.shift == (0, 0) else _shifted(img, view.shift, fill)


def _shifted(
    img: np.ndarray, shift: tuple[int, int], fill: Sequence[float]
) -> np.ndarray:
    """Move an image by whole pixels (dx, dy) and fill the uncovered part."""
    dx, dy = shift
    height, width = img.shape[:2]
    rest = img[max(-dy, 0) : height - max(dy, 0), max(-dx, 0) : width - max(dx, 0)]
    sides = max(dy, 0), max(-dy, 0), max(dx, 0), max(-dx, 0)
    return cv2.copyMakeBorder(rest, *sides, cv2.BORDER_CONSTANT, value=fill)
