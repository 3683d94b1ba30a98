"""The withheld annotations of unlabelled images: for analysis, never for training."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.coco_boxes import check_truth
from ssod_mm.coco_json import (
    check_file_names,
    json_classes,
    match_classes,
    read_coco_json,
)
from ssod_mm.errors import UserError
from ssod_mm.maths.boxes import clip_boxes, relative_homographies, warp_boxes


class HiddenTruth:
    """True boxes by image file, read from a COCO-format json.

    Args:
        ann_file: the json, such as ``instances_train2017.1@10-hidden.json``.
        classes: the names behind the labels 0, 1, ...; other categories are left out.
        config_key: where ``ann_file`` stands in the config, for messages.

    Raises:
        FileNotFoundError: the file is missing.
        ValueError: no COCO json, no annotations in it, an image twice, or not all of
            ``classes``.
    """

    def __init__(
        self, ann_file: str | Path, classes: Sequence[str], config_key: str
    ) -> None:
        content = _read(Path(ann_file), config_key)
        label_of_name = {name: label for label, name in enumerate(classes)}
        label_of = {
            category["id"]: label_of_name[category["name"]]
            for category in content["categories"]
            if category["name"] in label_of_name
        }
        match_classes(
            classes,
            json_classes(content, ann_file),
            "the training set",
            f"{ann_file} ({config_key})",
        )
        position = {image["id"]: i for i, image in enumerate(content["images"])}
        anns = [
            ann
            for ann in content["annotations"]
            if ann["category_id"] in label_of and ann["image_id"] in position
        ]
        anns.sort(key=lambda ann: position[ann["image_id"]])
        self._number_of = {
            image["file_name"]: position[image["id"]] for image in content["images"]
        }
        counts = np.bincount(
            [position[ann["image_id"]] for ann in anns], minlength=len(position)
        )
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        boxes = torch.tensor([ann["bbox"] for ann in anns]).float().reshape(-1, 4)
        self._boxes = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], dim=1)
        self._labels = torch.tensor([label_of[ann["category_id"]] for ann in anns])
        self._ignored = torch.tensor([is_ignored(ann) for ann in anns]).bool()

    def __len__(self) -> int:
        """Number of images that the file speaks of."""
        return len(self._number_of)

    def find(self, img_path: str | Path) -> InstanceData | None:
        """The truth of one image.

        Args:
            img_path: any path that ends in the json's ``file_name``.

        Returns:
            ``bboxes`` (M, 4) float32 xyxy in pixels of the original image, ``labels``
            (M,) int64, ``ignored`` (M,) bool; None when the file has no such image.
        """
        parts = PurePosixPath(Path(img_path).as_posix()).parts
        for start in range(len(parts)):
            number = self._number_of.get("/".join(parts[start:]))
            if number is not None:
                rows = slice(self._starts[number], self._starts[number + 1])
                return InstanceData(
                    bboxes=self._boxes[rows],
                    labels=self._labels[rows].long(),
                    ignored=self._ignored[rows],
                )
        return None


def is_ignored(annotation: dict) -> bool:
    """Whether an annotation neither counts as missed nor its detection as wrong."""
    return any(annotation.get(key, 0) for key in ("iscrowd", "ignore", "difficult"))


def sample_homography(sample: DetDataSample) -> Tensor:
    """Map from the original image to the sample's view, (3, 3) float64."""
    matrix = sample.metainfo.get("homography_matrix", np.eye(3))
    return torch.as_tensor(matrix).double()


def to_image_frame(boxes_N4: Tensor, sample: DetDataSample) -> Tensor:
    """Boxes of a view in pixels of the original image, clipped to it.

    Args:
        boxes_N4: (N, 4) xyxy in pixels of the view.
        sample: the view's data sample with ``homography_matrix`` and ``ori_shape``.

    Returns:
        (N, 4) float32 on the CPU.
    """
    identity = torch.eye(3, dtype=torch.float64)
    back = relative_homographies(identity[None], sample_homography(sample)[None])[0]
    moved = warp_boxes(boxes_N4.detach().float().cpu(), back)
    size = torch.tensor(sample.ori_shape[:2]).expand(len(moved), 2)
    return clip_boxes(moved, size)


def to_view_frame(boxes_N4: Tensor, sample: DetDataSample) -> Tensor:
    """Boxes of the original image in pixels of a view, clipped to it.

    Args:
        boxes_N4: (N, 4) xyxy in pixels of the original image.
        sample: the view's data sample with ``homography_matrix`` and ``img_shape``.

    Returns:
        (N, 4) float32; boxes out of view have no area.
    """
    moved = warp_boxes(boxes_N4, sample_homography(sample).float())
    size = torch.tensor(sample.img_shape[:2]).expand(len(moved), 2)
    return clip_boxes(moved, size)


def _read(path: Path, config_key: str) -> dict:
    if not path.is_file():
        raise FileNotFoundError(
            f"{config_key}: {path} does not exist. tools/make_splits.py writes it as "
            "<stem>.<fold>@<percent>-hidden.json; without hidden annotations set "
            "hidden_ann_file = None."
        )
    content = read_coco_json(path, key=config_key)
    content = check_truth(content, str(path))
    check_file_names(content, str(path))
    if not content["annotations"]:
        raise UserError(
            f"{config_key}: {path} holds no annotations. The withheld annotations are "
            "in the file that ends in -hidden.json."
        )
    return content
