"""One image of the shapes dataset: ground, clutter, objects, camera.

Objects are drawn one over the other, so later ones cover earlier ones. A box is
the tight extent of what can still be *seen* of its object, as in COCO; an object
hidden (covered or outside the image) by more than ``ShapesSpec.max_hidden`` gets
none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ssod_mm.data.shapes.glyphs import CLASSES, glyph_mask
from ssod_mm.data.shapes.paint import (
    PALETTES,
    background,
    coat_colours,
    contrasting_colour,
    object_fill,
)
from ssod_mm.errors import UserError

_MIN_VISIBLE_SIDE_PX = 6


@dataclass(frozen=True)
class SceneSpec:
    """What an image of the set may look like.

    Attributes:
        sizes: (width, height) choices in pixels.
        num_objects: fewest and most objects drawn, of which at least one can be
            seen.
        object_px: shortest and longest longer side of an object, in pixels.
        tail_ratio: frequency of the first class over that of the last.
        max_hidden: an object hidden by more than this fraction has no box.
        num_clutter: most blobs and strokes that belong to no class.
        min_contrast: least Lab distance of an object to the ground behind it.
        noise: largest standard deviation of the sensor noise, in grey levels.
        blur_px: largest standard deviation of the lens blur, in pixels.
        max_turn: largest turn of an object in either direction, in degrees.
        coat_share: share of the objects that wear their class's colours.
    """

    sizes: tuple[tuple[int, int], ...] = ((160, 128), (128, 160), (144, 144))
    num_objects: tuple[int, int] = (1, 7)
    object_px: tuple[float, float] = (20.0, 80.0)
    tail_ratio: float = 4.0
    max_hidden: float = 0.6
    num_clutter: int = 2
    min_contrast: float = 45.0
    noise: float = 5.0
    blur_px: float = 0.7
    max_turn: float = 25.0
    coat_share: float = 0.95

    def __post_init__(self) -> None:
        """Refuses scenes that cannot be drawn.

        Raises:
            ValueError: for ranges that are empty or leave nothing to see.
        """
        fewest, most = self.num_objects
        if not 1 <= fewest <= most:
            raise UserError(
                f"shapes: num_objects must be 1 <= fewest <= most, got {fewest}, {most}"
            )
        shortest, longest = self.object_px
        room = min(min(size) for size in self.sizes)
        if not _MIN_VISIBLE_SIDE_PX + 2 <= shortest <= longest <= room:
            raise UserError(
                f"shapes: object_px must lie in {_MIN_VISIBLE_SIDE_PX + 2}..{room} "
                f"(the images' shortest side), got {shortest}, {longest}"
            )
        if not 0 <= self.coat_share <= 1:
            raise UserError(
                f"shapes: coat_share must lie in [0, 1], got {self.coat_share}"
            )
        if self.tail_ratio < 1:
            raise UserError(f"shapes: tail_ratio must be >= 1, got {self.tail_ratio}")

    def class_frequencies(self) -> np.ndarray:
        """(8,) probabilities, a geometric fall from first to last class."""
        steps = np.linspace(0, 1, len(CLASSES))
        weights = self.tail_ratio ** (-steps)
        return weights / weights.sum()


@dataclass(frozen=True)
class Scene:
    """One drawn image with what can be seen in it.

    Attributes:
        image: (h, w, 3) uint8 BGR.
        boxes: (N, 4) int, x, y, width, height of the visible extent; pixel i
            covers [i, i + 1].
        labels: (N,) int class indices.
        areas: (N,) int visible pixels.
        visibility: (N,) visible fraction of the whole object.
    """

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    visibility: np.ndarray


def draw_scene(spec: SceneSpec, rng: np.random.Generator) -> Scene:
    """Draws one image; the same ``spec`` and generator state give the same image.

    Raises:
        UserError: if no object can be seen in any of 100 attempts.
    """
    for _ in range(100):
        scene = _draw_once(spec, rng)
        if len(scene.boxes):
            return scene
    raise UserError(f"shapes: nothing can be seen in the scenes of {spec}")


def _draw_once(spec: SceneSpec, rng: np.random.Generator) -> Scene:
    width, height = spec.sizes[rng.integers(len(spec.sizes))]
    canvas = background(height, width, rng)
    for _ in range(rng.integers(spec.num_clutter + 1)):
        _draw_clutter(canvas, rng)
    owner = np.full((height, width), -1, np.int16)
    labels, whole_areas = [], []
    wanted = int(rng.integers(spec.num_objects[0], spec.num_objects[1] + 1))
    shadow = rng.uniform(-3, 3, 2).round().astype(int)
    frequencies = spec.class_frequencies()
    for index in range(wanted):
        label = int(rng.choice(len(CLASSES), p=frequencies))
        # Log-uniform: small objects are as common as large ones, octave by octave.
        size = float(np.exp(rng.uniform(*np.log(spec.object_px))))
        mask = glyph_mask(CLASSES[label], size, rng, spec.max_turn)
        left, top = _free_place(mask, owner, rng)
        coat = None
        if rng.random() < spec.coat_share:
            coat = coat_colours(label, len(CLASSES))
        _draw_object(canvas, mask, left, top, shadow, spec.min_contrast, rng, coat)
        here, there = _overlap(canvas.shape, mask.shape, left, top)
        owner[here][mask[there] > 0.5] = index
        labels.append(label)
        whole_areas.append(int((mask > 0.5).sum()))
    image = _photograph(canvas, spec, rng)
    return visible_objects(image, owner, labels, whole_areas, spec.max_hidden)


def _overlap(
    shape: tuple[int, ...], patch: tuple[int, ...], left: int, top: int
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Index of a patch inside the image, and of the same pixels in the patch."""
    y0, x0 = max(top, 0), max(left, 0)
    y1, x1 = min(top + patch[0], shape[0]), min(left + patch[1], shape[1])
    return (
        (slice(y0, y1), slice(x0, x1)),
        (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left)),
    )


def _free_place(
    mask: np.ndarray, owner: np.ndarray, rng: np.random.Generator
) -> tuple[int, int]:
    """Left and top of the least covering of a few random places.

    At most a fifth of the object's extent lies outside the image. The first
    place that covers under a quarter of the object is taken, so some overlap
    stays common.
    """
    (h, w), (height, width) = mask.shape, owner.shape
    best, best_cover = (0, 0), np.inf
    for _ in range(6):
        left = int(rng.integers(-(w // 5), max(width - w + w // 5, 1)))
        top = int(rng.integers(-(h // 5), max(height - h + h // 5, 1)))
        here, there = _overlap(owner.shape, mask.shape, left, top)
        solid = mask[there] > 0.5
        cover = ((owner[here] >= 0) & solid).sum() / max(solid.sum(), 1)
        if cover < best_cover:
            best, best_cover = (left, top), cover
        if cover < 0.25:
            break
    return best


def _blend(
    canvas: np.ndarray, alpha: np.ndarray, fill: np.ndarray, left: int, top: int
) -> None:
    here, there = _overlap(canvas.shape, alpha.shape, left, top)
    part = alpha[there][..., None]
    fill = fill[there] if fill.ndim == 3 else fill
    canvas[here] = canvas[here] * (1 - part) + fill * part


def _draw_object(
    canvas: np.ndarray,
    mask: np.ndarray,
    left: int,
    top: int,
    shadow: np.ndarray,
    min_contrast: float,
    rng: np.random.Generator,
    coat: np.ndarray | None,
) -> None:
    """Shadow, textured body and, at times, a rim."""
    here, _ = _overlap(canvas.shape, mask.shape, left, top)
    behind = canvas[here].reshape(-1, 3).mean(axis=0)
    colour = contrasting_colour(behind, min_contrast, rng, coat)
    soft = cv2.GaussianBlur(np.pad(mask, 4), (0, 0), 1.6) * rng.uniform(0.15, 0.5)
    dark = np.zeros(3, np.float32)
    _blend(canvas, soft, dark, left - 4 + int(shadow[0]), top - 4 + int(shadow[1]))
    fill = object_fill(*mask.shape, colour, rng)
    rim_kind = rng.random()
    if rim_kind < 0.4 and min(mask.shape) > 14:
        core = cv2.erode(mask, np.ones((3, 3), np.uint8))
        rim_colour = 30.0 if rim_kind < 0.2 else 235.0
        part = (mask - core)[..., None] * 0.8
        fill = fill * (1 - part) + rim_colour * part
    light = np.linspace(rng.uniform(0.85, 1.2), rng.uniform(0.85, 1.2), mask.shape[0])
    fill = fill * light[:, None, None].astype(np.float32)
    _blend(canvas, mask * rng.uniform(0.85, 1.0), np.clip(fill, 0, 255), left, top)


def _draw_clutter(canvas: np.ndarray, rng: np.random.Generator) -> None:
    """A blob or a stroke that belongs to no class."""
    height, width = canvas.shape[:2]
    palette = PALETTES[rng.integers(len(PALETTES))]
    colour = palette[rng.integers(5)]
    centre = rng.uniform(0, 1, 2) * (width, height)
    radius = rng.uniform(5, 26)
    mask = np.zeros((height, width), np.uint8)
    if rng.random() < 0.5:
        angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
        waves = sum(
            rng.uniform(0, 0.35) * np.sin(k * angles + rng.uniform(0, 6.3))
            for k in (2, 3, 4, 5)
        )
        radii = radius * (1 + waves)
        outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None]
        cv2.fillPoly(mask, [np.round(outline + centre).astype(np.int32)], 255)
    else:
        steps = rng.normal(0, radius, (4, 2)).cumsum(axis=0)
        line = np.round(centre + steps).astype(np.int32)
        thickness = int(rng.integers(1, 5))
        cv2.polylines(mask, [line], False, 255, thickness, cv2.LINE_AA)
    alpha = cv2.GaussianBlur(mask, (0, 0), 0.7).astype(np.float32) / 255
    _blend(canvas, alpha * rng.uniform(0.4, 0.9), colour, 0, 0)


def _photograph(
    canvas: np.ndarray, spec: SceneSpec, rng: np.random.Generator
) -> np.ndarray:
    """Light, lens blur and sensor noise; (h, w, 3) uint8 BGR."""
    gain = rng.uniform(0.75, 1.2) * rng.uniform(0.92, 1.08, 3)
    image = canvas * gain + rng.uniform(-18, 18)
    sigma = rng.uniform(0, spec.blur_px)
    if sigma > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), sigma)
    noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(0, spec.noise)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def visible_objects(
    image: np.ndarray,
    owner: np.ndarray,
    labels: list[int],
    whole_areas: list[int],
    max_hidden: float,
) -> Scene:
    """Boxes of what the finished owner map still shows of each object.

    Args:
        image: (h, w, 3) uint8 BGR, passed on.
        owner: (h, w) index of the object seen at each pixel, -1 for none.
        labels: class index of each object.
        whole_areas: pixels of each object if nothing hid it.
        max_hidden: largest hidden fraction that still gives a box.
    """
    rows = []
    for index, (label, whole) in enumerate(zip(labels, whole_areas, strict=True)):
        seen = owner == index
        area = int(seen.sum())
        if area < (1 - max_hidden) * whole:
            continue
        x, y, w, h = cv2.boundingRect(seen.astype(np.uint8))
        if min(w, h) >= _MIN_VISIBLE_SIDE_PX:
            rows.append((x, y, w, h, label, area, area / whole))
    table = np.array(rows, dtype=np.float64).reshape(-1, 7)
    return Scene(
        image=image,
        boxes=table[:, :4].astype(int),
        labels=table[:, 4].astype(int),
        areas=table[:, 5].astype(int),
        visibility=table[:, 6],
    )
