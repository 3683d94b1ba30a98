"""One random view of an image: geometry and colour drawn together, applied once."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import autocast_box_type

from ssod_mm.data.draw_index import batch_seed
from ssod_mm.data.views.colour import ColourEdit, check_image, identity
from ssod_mm.data.views.geometry import (
    AFFINE_OPS,
    ViewGeometry,
    affine_matrix,
    render,
)
from ssod_mm.errors import UserError
from ssod_mm.maths.seeds import mix_seed

# Shares of the size for translations, degrees for the others.
_LARGEST = {"translate": 0.9, "rotate": 180.0, "shear": 80.0}
_UNMAPPED = ("gt_masks", "gt_seg_map", "gt_keypoints")


@TRANSFORMS.register_module()
class RandomView(BaseTransform):
    """Resize, flip, one affine operation and one colour edit, drawn and applied once.

    Equal in meaning to a random resize, a random flip, a geometric operation and a
    colour operation in a row, but the pixels are resampled once, boxes are mapped
    once by the exact homography, and a pointwise colour edit runs where there are
    fewer pixels. Where the methods put the colour and the geometric operation in
    random order, the order decides only whether the filled border is edited too (and
    counted in the statistics of an edit); here the border always keeps ``fill``,
    except under edits that are not pointwise.

    Required keys: ``img``, optionally ``gt_bboxes``. Sets ``img``, ``img_shape``,
    ``scale_factor``, ``flip``, ``flip_direction``, ``homography_matrix`` and maps and
    clips ``gt_bboxes`` (boxes that leave the view keep zero area: filter after).

    Args:
        scale: ``(long, short)`` limits in pixels, or two such pairs between which
            both limits are drawn uniformly. The aspect ratio is kept.
        ratio: with a single pair: range of the factor on it, drawn uniformly.
        scale_of_batch: a name for the images of a batch that are drawn at one scale:
            views of the same name share the draw within ``scale`` or ``ratio``. Less
            padding, but scales vary between batches alone, which changes the recipe.
            None: each image has its own. So has one that no sampler's batch asks for.
        flip_prob: chance of a horizontal flip.
        affine: operations of which one is drawn with equal chances, each
            ``dict(op=name, range=(low, high))`` with an op of ``AFFINE_OPS`` (or a
            list of them, one drawn), the magnitude uniform in the range with a random
            sign: degrees, or the share of the size for translations. ``about`` as in
            :func:`affine_matrix`. Empty: none.
        colour: config of a colour transform such as ``dict(type="OneColour")``.
        fill: grey value, or three BGR values, of what lies outside the image.

    Raises:
        ValueError: if an argument is malformed, or at run time if the item carries
            masks, segmentation maps or keypoints, which are not mapped.
    """

    def __init__(
        self,
        scale: Sequence,
        ratio: tuple[float, float] | None = None,
        scale_of_batch: str | None = None,
        flip_prob: float = 0.5,
        affine: Sequence[dict] = (),
        colour: dict | None = None,
        fill: float | Sequence[float] = 114,
    ) -> None:
        pairs = [scale] if np.ndim(scale) == 1 else list(scale)
        if np.shape(pairs) not in ((1, 2), (2, 2)) or np.min(pairs) < 1:
            raise UserError(
                f"RandomView.scale must be (long, short) in pixels or two such pairs, "
                f"not {scale!r}."
            )
        if ratio is not None and (len(pairs) == 2 or not 0 < ratio[0] <= ratio[1]):
            raise UserError(
                f"RandomView.ratio={ratio!r} must be (low, high) with 0 < low <= high, "
                "and goes with a single pair in scale."
            )
        if not 0 <= flip_prob <= 1:
            raise UserError(f"RandomView.flip_prob={flip_prob} is not within [0, 1].")
        self.scale = np.array(pairs, dtype=np.float64)
        self.ratio = ratio
        self.scale_of_batch = scale_of_batch
        self.flip_prob = flip_prob
        self.affine = [_parse_affine(op) for op in affine]
        self.colour = TRANSFORMS.build(colour) if colour else None
        self.fill = tuple(float(v) for v in np.broadcast_to(fill, 3))

    def draw(self, source: tuple[int, int]) -> ViewGeometry:
        """Draw the geometry of a view of an image of (height, width) pixels."""
        size = self._draw_size(source)
        flip = bool(np.random.rand() < self.flip_prob)
        if not self.affine:
            return ViewGeometry(source, size, flip)
        ops, (low, high), about = self.affine[np.random.randint(len(self.affine))]
        op = ops[np.random.randint(len(ops))]
        magnitude = np.random.uniform(low, high) * (1 if np.random.rand() < 0.5 else -1)
        matrix = affine_matrix(op, magnitude, size, about)
        shift = None
        if op.startswith("translate"):
            shift = int(matrix[0, 2]), int(matrix[1, 2])
        return ViewGeometry(source, size, flip, matrix, shift)

    def _draw_size(self, source: tuple[int, int]) -> tuple[int, int]:
        """(height, width) of the view: the largest that fits the drawn limits."""
        generator, of_batch = np.random, batch_seed.get()
        if self.scale_of_batch is not None and of_batch is not None:
            name = zlib.crc32(self.scale_of_batch.encode())
            generator = np.random.RandomState(mix_seed(of_batch, name) % 2**32)
        if len(self.scale) == 2:
            limits = generator.uniform(self.scale.min(0), self.scale.max(0))
        else:
            limits = self.scale[0] * generator.uniform(*(self.ratio or (1.0, 1.0)))
        height, width = source
        new_width, new_height = mmcv.rescale_size((width, height), tuple(limits))
        return max(new_height, 1), max(new_width, 1)

    @autocast_box_type()
    def transform(self, results: dict) -> dict:
        """Draw a view and turn the item into it."""
        unmapped = [key for key in _UNMAPPED if key in results]
        if unmapped:
            raise UserError(
                f"RandomView maps boxes only, but the item carries {unmapped}: "
                "take them out of LoadAnnotations."
            )
        img = results["img"]
        view = self.draw(img.shape[:2])
        edit = ColourEdit(identity)
        if self.colour is not None:
            check_image(img, self)
            edit = self.colour.draw()
        results["img"] = self._render(img, view, edit)
        self._record(results, view)
        if results.get("gt_bboxes") is not None:
            boxes = results["gt_bboxes"].clone()
            boxes.project_(view.matrix)
            boxes.clip_(view.size)
            results["gt_bboxes"] = boxes
        return results

    def _render(
        self, img: np.ndarray, view: ViewGeometry, edit: ColourEdit
    ) -> np.ndarray:
        """Pixels of the view, with the edit on the cheaper side of the resampling."""
        enlarges = np.prod(view.size) >= np.prod(view.source)
        if edit.pointwise and (enlarges or view.shift != (0, 0)):
            return render(edit.apply(img), view, self.fill)
        return edit.apply(render(img, view, self.fill))

    @staticmethod
    def _record(results: dict, view: ViewGeometry) -> None:
        """Write the view's meta information, composed with what was there."""
        before = results.get("homography_matrix")
        matrix = view.matrix if before is None else view.matrix @ before
        results["homography_matrix"] = matrix.astype(np.float32)
        old_w, old_h = results.get("scale_factor", (1.0, 1.0))
        results["scale_factor"] = (
            old_w * view.size[1] / view.source[1],
            old_h * view.size[0] / view.source[0],
        )
        results["img_shape"] = view.size
        results["flip"] = bool(results.get("flip", False)) != view.flip
        results["flip_direction"] = "horizontal" if results["flip"] else None

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(scale={self.scale.tolist()}, ratio={self.ratio}, "
            f"scale_of_batch={self.scale_of_batch!r}, flip_prob={self.flip_prob}, "
            f"affine={self.affine}, "
            f"colour={self.colour}, fill={self.fill})"
        )


def _parse_affine(
    entry: dict,
) -> tuple[tuple[str, ...], tuple[float, float], str | None]:
    """Operations, range and fixed point of one entry of ``RandomView.affine``."""
    ops = entry.get("op", ())
    ops = (ops,) if isinstance(ops, str) else tuple(ops)
    if not ops or set(ops) - set(AFFINE_OPS) or set(entry) - {"op", "range", "about"}:
        raise UserError(
            f"RandomView.affine: {entry!r} must be dict(op=..., range=(low, high)) "
            f"with op among {', '.join(AFFINE_OPS)}."
        )
    limits = [_LARGEST[op.split("_")[0]] for op in ops]
    low, high = entry.get("range", (0.0, np.inf))
    if len(set(limits)) > 1 or not 0 <= low <= high <= limits[0]:
        raise UserError(
            f"RandomView.affine: {entry!r} needs range=(low, high) with 0 <= low <= "
            f"high <= {limits[0]:g}, and only operations of one kind."
        )
    about = entry.get("about")
    if about not in (None, "centre", "corner"):
        raise UserError(
            f"RandomView.affine: about={about!r}: write 'centre' or 'corner'."
        )
    return ops, (float(low), float(high)), about
