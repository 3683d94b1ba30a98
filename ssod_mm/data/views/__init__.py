"""Weak and strong views of unlabelled images, one view of labelled ones.

Each item of a data set ends as mmdet's semi-supervised batch format wants it: a dict
with ``inputs`` and ``data_samples``, each a dict over the branches ``sup``,
``unsup_teacher`` (weak view) and ``unsup_student`` (strong view), None where a
branch has nothing. A labelled item fills ``sup``, an unlabelled one the other two.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform, Compose
from mmdet.datasets.transforms import PackDetInputs
from mmdet.registry import TRANSFORMS
from mmdet.structures.bbox import HorizontalBoxes

BRANCHES = ("sup", "unsup_teacher", "unsup_student")
VIEW_META_KEYS = (
    "img_id",
    "img_path",
    "ori_shape",
    "img_shape",
    "scale_factor",
    "flip",
    "flip_direction",
    "homography_matrix",
    "erased_patches",
)


def build_pipeline(pipeline: Sequence[dict | Any]) -> Compose:
    """Compose of transforms given by config (or already built)."""
    steps = [TRANSFORMS.build(s) if isinstance(s, dict) else s for s in pipeline]
    return Compose(steps)


def branch_item(packed: dict[str, dict]) -> dict[str, dict]:
    """Item of the multi-branch format from the packed views of some branches.

    Args:
        packed: branch name -> ``dict(inputs=..., data_samples=...)``.

    Returns:
        ``inputs`` and ``data_samples``, each over all of ``BRANCHES``.
    """
    return {
        key: {branch: packed.get(branch, {}).get(key) for branch in BRANCHES}
        for key in ("inputs", "data_samples")
    }


@TRANSFORMS.register_module()
class PackView(PackDetInputs):
    """Pack one view; every meta key is present whatever the pipeline did.

    ``inputs`` is a contiguous (3, H, W) tensor that shares no memory with the image.
    A view without annotations gets empty ``gt_instances``.

    Args:
        meta_keys: keys of the data sample's meta information.
    """

    def __init__(self, meta_keys: Sequence[str] = VIEW_META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        """Pack ``results`` into ``inputs`` and ``data_samples``."""
        image = results["img"]
        fields = {
            "img_shape": image.shape[:2],
            "scale_factor": (1.0, 1.0),
            "flip": False,
            "flip_direction": None,
            "homography_matrix": np.eye(3, dtype=np.float32),
            "erased_patches": np.zeros((0, 4), dtype=np.float32),
            "gt_bboxes": HorizontalBoxes(torch.zeros(0, 4)),
            "gt_bboxes_labels": np.zeros(0, dtype=np.int64),
            "gt_ignore_flags": np.zeros(0, dtype=bool),
        }
        fields.update({k: v for k, v in results.items() if k != "img"})
        packed = super().transform(fields)
        packed["inputs"] = planes(image)
        return packed


def planes(img: np.ndarray) -> torch.Tensor:
    """Copy of an image (H, W, C) or (H, W) as a contiguous tensor (C, H, W)."""
    img = img if img.ndim == 3 else img[..., None]
    out = np.empty((img.shape[2], *img.shape[:2]), dtype=img.dtype)
    for target, plane in zip(out, cv2.split(img, list(out)), strict=True):
        if not np.may_share_memory(target, plane):  # OpenCV allocated new arrays
            target[:] = plane
    return torch.from_numpy(out)


@TRANSFORMS.register_module()
class LabelledView(BaseTransform):
    """The ``sup`` branch of a labelled item.

    Args:
        pipeline: transforms after loading, :class:`PackView` last.
    """

    def __init__(self, pipeline: Sequence[dict]) -> None:
        self.pipeline = build_pipeline(pipeline)

    def transform(self, results: dict) -> dict | None:
        """Run the pipeline; None when it gives the item up."""
        packed = self.pipeline(results)
        return None if packed is None else branch_item({"sup": packed})

    def __repr__(self) -> str:
        return f"{type(self).__name__}(pipeline={self.pipeline})"


@TRANSFORMS.register_module()
class TwoViews(BaseTransform):
    """A weak and a strong view of one decoded image.

    Both views start from the same pixels: the image array is shared, not copied, and
    read-only while the views are made, so that a transform which would write into it
    fails with numpy's error instead of changing the other view. Everything else in
    the item is copied for each view.

    Args:
        weak: transforms of the teacher's view, :class:`PackView` last.
        strong: transforms of the student's view, :class:`PackView` last.
    """

    def __init__(self, weak: Sequence[dict], strong: Sequence[dict]) -> None:
        self.weak = build_pipeline(weak)
        self.strong = build_pipeline(strong)

    def transform(self, results: dict) -> dict | None:
        """Make both views; None when one of them gives the item up."""
        image = results["img"]
        writeable = image.flags.writeable
        image.flags.writeable = False
        try:
            packed = {}
            for branch, pipeline in zip(
                BRANCHES[1:], (self.weak, self.strong), strict=True
            ):
                packed[branch] = pipeline(copy.deepcopy(results, {id(image): image}))
                if packed[branch] is None:
                    return None
        finally:
            if writeable:
                image.flags.writeable = True
        return branch_item(packed)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(weak={self.weak}, strong={self.strong})"
