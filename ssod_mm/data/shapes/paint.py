"""Colours and patterns of the shapes dataset.

A *field* is an (h, w) float32 image in [0, 1]; ``paint`` maps it through colours.
Backgrounds and objects draw from the same fields and the same palettes. A class has
a coat, colours that most of its objects wear: like the fur of animals it helps, but
others wear the same colours, and neighbouring classes share some.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

_PALETTES_HEX = (
    "264653 2a9d8f e9c46a f4a261 e76f51",
    "0b132b 1c2541 3a506b 5bc0be f2f4f3",
    "355070 6d597a b56576 e56b6f eaac8b",
    "606c38 283618 fefae0 dda15e bc6c25",
    "003049 d62828 f77f00 fcbf49 eae2b7",
    "cdb4db ffc8dd ffafcc bde0fe 7aa6d8",
    "22223b 4a4e69 9a8c98 c9ada7 f2e9e4",
    "132a13 31572c 4f772d 90a955 ecf39e",
    "5f0f40 9a031e fb8b24 e36414 0f4c5c",
    "03045e 0077b6 00b4d8 90e0ef caf0f8",
    "3d405b e07a5f f4f1de 81b29a f2cc8f",
    "2b2d42 8d99ae edf2f4 ef233c d90429",
)


def _bgr(code: str) -> tuple[int, int, int]:
    return int(code[4:6], 16), int(code[2:4], 16), int(code[0:2], 16)


PALETTES = np.array(
    [[_bgr(code) for code in line.split()] for line in _PALETTES_HEX], np.float32
)
"""(12, 5, 3) BGR colours in [0, 255]."""


def _mesh(h: int, w: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    return x, y


def _unit(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-6)


def clouds(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """Three octaves of smooth noise."""
    field = np.zeros((h, w), np.float32)
    cells = int(rng.integers(2, 5))
    for octave in range(3):
        grid = rng.random((cells + 2, cells + 2), np.float32)
        field += cv2.resize(grid, (w, h), interpolation=cv2.INTER_CUBIC) / 2**octave
        cells *= 2
    return _unit(field)


def stripes(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """Parallel waves, soft or hard, bent a little by noise."""
    x, y = _mesh(h, w)
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 22)
    bend = clouds(h, w, rng) * rng.uniform(0, 2.5)
    phase = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / period)
    return np.clip(np.sin(phase + bend) * rng.uniform(0.6, 3) / 2 + 0.5, 0, 1)


def checks(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """Turned tiles, each with its shade."""
    x, y = _mesh(h, w)
    angle, side = rng.uniform(0, np.pi / 2), rng.uniform(6, 24)
    u = np.floor((x * np.cos(angle) + y * np.sin(angle)) / side).astype(int)
    v = np.floor((y * np.cos(angle) - x * np.sin(angle)) / side).astype(int)
    shades = rng.random((64, 64), np.float32) * rng.uniform(0.2, 0.8)
    return np.clip(shades[u % 64, v % 64] + 0.35 * ((u + v) % 2), 0, 1)


def cells(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """Terrazzo: each pixel takes the shade of its nearest random centre."""
    count = int(rng.integers(12, 40))
    seeds = np.full((h, w), 255, np.uint8)
    seeds[rng.integers(0, h, count), rng.integers(0, w, count)] = 0
    distance, owner = cv2.distanceTransformWithLabels(
        seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_CCOMP
    )
    shades = rng.random(int(owner.max()) + 1, np.float32)
    return np.clip(shades[owner] * 0.85 + 0.02 * distance, 0, 1).astype(np.float32)


def grain(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """Wood-like rings around a far centre, bent by noise."""
    x, y = _mesh(h, w)
    far = rng.uniform(0.6, 2.5) * max(h, w)
    angle = rng.uniform(0, 2 * np.pi)
    radius = np.hypot(x - w / 2 - far * np.cos(angle), y - h / 2 - far * np.sin(angle))
    radius += clouds(h, w, rng) * rng.uniform(8, 30)
    return 0.5 + 0.5 * np.sin(radius * (2 * np.pi / rng.uniform(6, 18)))


def dots(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """A turned grid of soft dots."""
    x, y = _mesh(h, w)
    angle, pitch = rng.uniform(0, np.pi / 2), rng.uniform(6, 18)
    u = (x * np.cos(angle) + y * np.sin(angle)) * (2 * np.pi / pitch)
    v = (y * np.cos(angle) - x * np.sin(angle)) * (2 * np.pi / pitch)
    sharp, size = rng.uniform(1, 4), rng.uniform(0.0, 0.9)
    return np.clip((np.cos(u) + np.cos(v) - size) * sharp / 2 + 0.5, 0, 1)


def slope(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """A plain gradient."""
    x, y = _mesh(h, w)
    angle = rng.uniform(0, 2 * np.pi)
    return _unit(x * np.cos(angle) + y * np.sin(angle))


FIELDS: tuple[Callable[[int, int, np.random.Generator], np.ndarray], ...] = (
    clouds,
    stripes,
    checks,
    cells,
    grain,
    dots,
    slope,
)
"""The pattern families."""


def paint(field: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Maps a field through equally spaced colours.

    Args:
        field: (h, w) in [0, 1].
        colours: (K, 3) BGR in [0, 255], K >= 2.

    Returns:
        (h, w, 3) float32 BGR.
    """
    stops = np.linspace(0, 255, len(colours))
    levels = np.arange(256)
    table = np.stack([np.interp(levels, stops, c) for c in colours.T], axis=1)
    return table.astype(np.float32)[(np.clip(field, 0, 1) * 255).astype(np.uint8)]


def random_field(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """One of ``FIELDS``, (h, w) float32 in [0, 1]."""
    return FIELDS[rng.integers(len(FIELDS))](h, w, rng).astype(np.float32)


def background(h: int, w: int, rng: np.random.Generator) -> np.ndarray:
    """A textured ground: two fields mixed by a third, two to three colours each.

    Returns:
        (h, w, 3) float32 BGR in [0, 255].
    """
    palette = PALETTES[rng.integers(len(PALETTES))]
    layers = []
    for _ in range(2):
        chosen = palette[rng.permutation(5)[: int(rng.integers(2, 4))]]
        # Colours are pulled together, so that the ground stays calmer than the objects.
        chosen = chosen.mean(0) + (chosen - chosen.mean(0)) * rng.uniform(0.25, 0.75)
        layers.append(paint(random_field(h, w, rng), chosen))
    share = clouds(h, w, rng)[..., None] * rng.uniform(0.2, 0.9)
    return layers[0] * (1 - share) + layers[1] * share


_COAT_COLOURS = 10


def coat_colours(index: int, num_classes: int) -> np.ndarray:
    """The palette colours nearest to a class's hue, the vivid ones first.

    Args:
        index: index of the class.
        num_classes: classes that share the circle of hues.

    Returns:
        (10, 3) float32 BGR.
    """
    colours = PALETTES.reshape(-1, 3)
    hue, saturation, _ = cv2.cvtColor(
        colours[None].astype(np.uint8), cv2.COLOR_BGR2HSV
    )[0].T.astype(np.float32)
    # OpenCV's hues run from 0 to 180.
    distance = np.abs((hue - 180 * index / num_classes + 90) % 180 - 90)
    order = np.argsort(distance + (255 - saturation) * 0.1, kind="stable")
    return colours[order[:_COAT_COLOURS]]


def contrasting_colour(
    behind: np.ndarray,
    min_contrast: float,
    rng: np.random.Generator,
    choices: np.ndarray | None = None,
) -> np.ndarray:
    """A palette colour that stands out from what lies behind it.

    Args:
        behind: (3,) mean BGR colour behind the object.
        min_contrast: least distance in the perceptual Lab space (0 to about 140).
        rng: source of the candidates.
        choices: (K, 3) BGR colours to choose from; None for those of all palettes.

    Returns:
        (3,) float32 BGR: the first of ten candidates that is far enough, or the
        farthest of them.
    """
    choices = PALETTES.reshape(-1, 3) if choices is None else choices
    candidates = choices[rng.integers(len(choices), size=10)]
    candidates = np.clip(candidates + rng.normal(0, 18, candidates.shape), 0, 255)
    both = np.clip(np.vstack([candidates, behind]), 0, 255).astype(np.uint8)[None]
    # 8-bit Lab: lightness runs to 255 instead of 100.
    lab = cv2.cvtColor(both, cv2.COLOR_BGR2LAB)[0] * np.array([100 / 255, 1.0, 1.0])
    contrast = np.linalg.norm(lab[:-1] - lab[-1], axis=1)
    far_enough = np.flatnonzero(contrast >= min_contrast)
    best = far_enough[0] if len(far_enough) else int(contrast.argmax())
    return candidates[best].astype(np.float32)


def object_fill(
    h: int, w: int, colour: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """A textured patch around one colour, (h, w, 3) float32 BGR."""
    other = PALETTES[rng.integers(len(PALETTES)), rng.integers(5)]
    strength = rng.choice([0.0, 0.25, 0.6], p=[0.35, 0.4, 0.25])
    colours = np.stack([colour, colour * (1 - strength) + other * strength])
    return paint(random_field(h, w, rng), colours)
