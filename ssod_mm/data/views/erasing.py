"""Erased patches of a strong view (Cutout), recorded so that labels can know."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

from ssod_mm.errors import UserError
from ssod_mm.maths.boxes import visible_fractions


@TRANSFORMS.register_module()
class ErasePatches(BaseTransform):
    """Fill a few patches of the image with grey.

    A patch takes the same share of the width and of the height, drawn uniformly, lies
    wholly inside the image and covers whole pixels, at least one. Adds
    ``erased_patches`` (P, 4) float32, xyxy in pixels of the view.

    Args:
        num: least and largest number of patches, drawn uniformly.
        ratio: range of a patch's share of each side, within (0, 1].
        fill: grey value, or three BGR values.
        max_hidden: labelled boxes of which more than this share is hidden are
            dropped; None keeps all of them.

    Raises:
        ValueError: if a range is reversed or out of bounds.
    """

    def __init__(
        self,
        num: tuple[int, int] = (1, 5),
        ratio: tuple[float, float] = (0.0, 0.2),
        fill: float | Sequence[float] = 114,
        max_hidden: float | None = None,
    ) -> None:
        if not 0 <= num[0] <= num[1]:
            raise UserError(f"ErasePatches.num={num} must ascend from 0 or more.")
        if not 0 <= ratio[0] <= ratio[1] <= 1:
            raise UserError(
                f"ErasePatches.ratio={ratio} must be 0 <= low <= high <= 1."
            )
        if max_hidden is not None and not 0 <= max_hidden < 1:
            raise UserError(
                f"ErasePatches.max_hidden={max_hidden} must be within [0, 1), or None."
            )
        self.num = (int(num[0]), int(num[1]))
        self.ratio = ratio
        self.fill = tuple(float(v) for v in np.broadcast_to(fill, 3))
        self.max_hidden = max_hidden

    def draw(self, size: tuple[int, int]) -> np.ndarray:
        """Patches (P, 4) int64 xyxy for an image of (height, width) pixels."""
        count = np.random.randint(self.num[0], self.num[1] + 1)
        shares = np.random.uniform(*self.ratio, size=count)
        places = np.random.rand(count, 2)
        width_height = np.array([size[1], size[0]])
        sides = np.maximum(np.rint(shares[:, None] * width_height), 1).astype(np.int64)
        corners = np.floor(places * (width_height - sides + 1)).astype(np.int64)
        return np.concatenate([corners, corners + sides], axis=1)

    def transform(self, results: dict) -> dict:
        """Erase, record and, if asked, drop hidden labelled boxes."""
        img = results["img"]
        if not img.flags.writeable:
            img = img.copy()
        patches = self.draw(img.shape[:2])
        for x1, y1, x2, y2 in patches.tolist():
            cv2.rectangle(img, (x1, y1), (x2 - 1, y2 - 1), self.fill, cv2.FILLED)
        results["img"] = img
        earlier = results.get("erased_patches", np.zeros((0, 4)))
        results["erased_patches"] = np.concatenate([earlier, patches]).astype(
            np.float32
        )
        if self.max_hidden is not None and len(results.get("gt_bboxes", ())):
            self._drop_hidden(results)
        return results

    def _drop_hidden(self, results: dict) -> None:
        """Drop the labelled boxes of which too large a share is erased."""
        boxes = results["gt_bboxes"]
        boxes_N4 = boxes.tensor if isinstance(boxes, HorizontalBoxes) else boxes
        boxes_N4 = torch.as_tensor(boxes_N4)
        sizes_N2 = torch.tensor([results["img"].shape[:2]]).expand(len(boxes_N4), 2)
        patches = torch.from_numpy(results["erased_patches"])
        patches_NP4 = patches.expand(len(boxes_N4), *patches.shape)
        seen = visible_fractions(boxes_N4, sizes_N2, patches_NP4)
        keep = (1 - seen <= self.max_hidden).numpy()
        for key in ("gt_bboxes", "gt_bboxes_labels", "gt_ignore_flags"):
            if key in results:
                results[key] = results[key][keep]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num={self.num}, ratio={self.ratio}, "
            f"fill={self.fill}, max_hidden={self.max_hidden})"
        )
