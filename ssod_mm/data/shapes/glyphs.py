"""Outlines of the eight shape classes; each class varies in its way.

A glyph is one or more closed contours in units of its radius, filled by the
even-odd rule. Nothing here knows images or colours.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

_SUPERSAMPLE = 4

Contour = np.ndarray
"""One closed polygon, (P, 2) float64, unit-free."""


def _circle(radius: float, centre: tuple[float, float] = (0.0, 0.0)) -> Contour:
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1) * radius + centre


def _disc(rng: np.random.Generator) -> list[Contour]:
    return [_circle(1.0)]


def _square(rng: np.random.Generator) -> list[Contour]:
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]], dtype=np.float64)
    return [corners + rng.uniform(-0.12, 0.12, (4, 2))]


def _triangle(rng: np.random.Generator) -> list[Contour]:
    angles = np.array([-np.pi / 2, np.pi / 6, 5 * np.pi / 6])
    angles = angles + rng.uniform(-0.15, 0.15, 3)
    return [np.stack([np.cos(angles), np.sin(angles)], axis=1)]


def _cross(rng: np.random.Generator) -> list[Contour]:
    arm = rng.uniform(0.24, 0.4)
    quarter = np.array([[arm, arm], [arm, 1.0], [-arm, 1.0]])
    turn = np.array([[0.0, 1.0], [-1.0, 0.0]])
    return [
        np.concatenate([quarter @ np.linalg.matrix_power(turn, k) for k in range(4)])
    ]


def _ring(rng: np.random.Generator) -> list[Contour]:
    inner = rng.uniform(0.42, 0.68)
    return [_circle(1.0), _circle(inner, tuple(rng.uniform(-0.08, 0.08, 2)))]


def _star(rng: np.random.Generator) -> list[Contour]:
    angles = np.arange(10) * np.pi / 5 - np.pi / 2
    radii = np.where(np.arange(10) % 2 == 0, 1.0, rng.uniform(0.38, 0.54))
    return [np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]]


def _crescent(rng: np.random.Generator) -> list[Contour]:
    bite, shift = rng.uniform(0.72, 0.88), rng.uniform(0.42, 0.56)
    # The circles x^2 + y^2 = 1 and (x - shift)^2 + y^2 = bite^2 meet at tip_x.
    tip_x = (1 + shift**2 - bite**2) / (2 * shift)
    outer_tip = np.arccos(tip_x)
    inner_tip = np.arccos((tip_x - shift) / bite)
    outer = np.linspace(outer_tip, 2 * np.pi - outer_tip, 40)
    inner = np.linspace(2 * np.pi - inner_tip, inner_tip, 40)
    outside = np.stack([np.cos(outer), np.sin(outer)], axis=1)
    inside = np.stack([np.cos(inner), np.sin(inner)], axis=1) * bite + (shift, 0)
    return [np.concatenate([outside, inside])]


def _heart(rng: np.random.Generator) -> list[Contour]:
    t = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    x = 16 * np.sin(t) ** 3
    y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t))
    return [np.stack([x, y * rng.uniform(0.9, 1.1)], axis=1) / 16]


_OUTLINES: dict[str, Callable[[np.random.Generator], list[Contour]]] = {
    "disc": _disc,
    "square": _square,
    "triangle": _triangle,
    "ring": _ring,
    "cross": _cross,
    "star": _star,
    "crescent": _crescent,
    "heart": _heart,
}

CLASSES: tuple[str, ...] = tuple(_OUTLINES)
"""Class names from the most to the least frequent."""

CLASS_PALETTE: tuple[tuple[int, int, int], ...] = (
    (66, 135, 245),
    (245, 130, 48),
    (60, 180, 75),
    (230, 25, 75),
    (145, 30, 180),
    (255, 205, 25),
    (70, 220, 230),
    (240, 50, 230),
)
"""RGB colour of each class in drawings; the images themselves ignore it."""


def glyph_mask(
    name: str, size_px: float, rng: np.random.Generator, max_turn: float = 180.0
) -> np.ndarray:
    """Coverage of one randomly turned and stretched glyph.

    Args:
        name: one of ``CLASSES``.
        size_px: longer side of the glyph's axis-aligned extent, in pixels.
        rng: source of the outline, turn and stretch.
        max_turn: largest turn in either direction, in degrees.

    Returns:
        (h, w) float32 in [0, 1] with anti-aliased edges, cut to the extent plus
        at most one pixel on each side.
    """
    contours = _OUTLINES[name](rng)
    angle = np.deg2rad(rng.uniform(-max_turn, max_turn))
    stretch = rng.uniform(0.72, 1.0)
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.array([[cos, sin], [-sin, cos]])
    skew = np.array([[1.0, 0.0], [rng.uniform(-0.2, 0.2), stretch]])
    contours = [contour @ skew @ turn for contour in contours]
    return _rasterise(contours, size_px, corner=rng.uniform(0.0, 0.05))


def _rasterise(contours: list[Contour], size_px: float, corner: float) -> np.ndarray:
    """Fills contours scaled to ``size_px``; ``corner`` rounds, as part of the size."""
    low = np.min([contour.min(axis=0) for contour in contours], axis=0)
    high = np.max([contour.max(axis=0) for contour in contours], axis=0)
    scale = size_px / (high - low).max()
    width, height = np.ceil((high - low) * scale).astype(int) + 2
    canvas = np.zeros((height * _SUPERSAMPLE, width * _SUPERSAMPLE), np.uint8)
    points = [
        np.round(((contour - low) * scale + 1) * _SUPERSAMPLE).astype(np.int32)
        for contour in contours
    ]
    cv2.fillPoly(canvas, points, 255)
    window = 2 * round(corner * size_px * _SUPERSAMPLE) + 1
    if window > 1:
        mean = cv2.blur(canvas, (window, window), borderType=cv2.BORDER_CONSTANT)
        canvas = cv2.threshold(mean, 127, 255, cv2.THRESH_BINARY)[1]
    mask = cv2.resize(canvas, (int(width), int(height)), interpolation=cv2.INTER_AREA)
    return mask.astype(np.float32) / 255
