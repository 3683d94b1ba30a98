"""The boxes of a COCO json: those that can be learnt, and those that are the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ssod_mm.coco_json import CocoDocument, check_images, json_classes, shorten
from ssod_mm.errors import UserError


@dataclass
class BoxCounts:
    """How many annotations were left out, and why.

    Attributes:
        zero_size: width or height is 0.
        tiny: width or height is below one pixel.
        outside: no part of the box lies inside its image.
        malformed: negative size, not four numbers, or not finite.
        unknown_image: the image is not in the file.
        unused_class: the class is in the file, but not among the chosen classes.
    """

    zero_size: int = 0
    tiny: int = 0
    outside: int = 0
    malformed: int = 0
    unknown_image: int = 0
    unused_class: int = 0

    @property
    def unusable(self) -> int:
        """How many are wrong; classes that nobody asked for do not count."""
        return sum(vars(self).values()) - self.unused_class

    def count_useless(self, bbox: Sequence[float], image: dict[str, Any]) -> bool:
        """Count a box that no detector can learn; whether it is one.

        Args:
            bbox: x, y, width, height in pixels.
            image: the entry of its image.
        """
        x, y, width, height = bbox
        if width == 0 or height == 0:
            self.zero_size += 1
        elif width < 1 or height < 1:
            self.tiny += 1
        elif not (-width < x < image["width"] and -height < y < image["height"]):
            self.outside += 1
        else:
            return False
        return True

    def __str__(self) -> str:
        reasons = {
            "with zero size": self.zero_size,
            "narrower than one pixel": self.tiny,
            "outside their image": self.outside,
            "malformed": self.malformed,
            "of images that are not in the file": self.unknown_image,
            "of classes that are not in metainfo.classes": self.unused_class,
        }
        return ", ".join(f"{count} {why}" for why, count in reasons.items() if count)


def clean_annotations(
    document: CocoDocument,
    path: str,
    classes: Sequence[str],
    *,
    on_bad_box: str = "raise",
    ignore_difficult: bool = True,
) -> tuple[CocoDocument, BoxCounts]:
    """The document with only those annotations that a detector can learn from.

    A missing or zero ``area`` is set to that of the box, since mmdet silently drops
    boxes without an area. The given document is left as it is.

    Args:
        document: parsed COCO json with checked images.
        path: its file, for messages.
        classes: names of the classes in use.
        on_bad_box: "raise" or "drop", for malformed boxes; those of zero size are
            always dropped, as are those below one pixel and outside their image.
        ignore_difficult: mark VOC's difficult objects as crowds, which training
            leaves out of both positives and negatives.

    Returns:
        The new document and the numbers of annotations left out.

    Raises:
        ValueError: a malformed box with "raise", an unknown category id, an annotation
            id that occurs twice, boxes in parts of the image's size, or a file of which
            more than half cannot be used.
    """
    images = {image["id"]: image for image in document["images"]}
    used = {c["id"]: c["name"] in classes for c in document["categories"]}
    counts, kept, seen = BoxCounts(), [], set()
    for annotation in document["annotations"]:
        image_id = annotation.get("image_id")
        category_id = annotation.get("category_id")
        where = f"{path}: annotation {annotation.get('id')} of image {image_id}"
        if annotation.get("id") in seen:
            raise UserError(f"{where} has an id that occurs more than once")
        seen.add(annotation.get("id"))
        if image_id not in images:
            counts.unknown_image += 1
            continue
        where = f"{where} ({images[image_id]['file_name']})"
        if category_id not in used:
            raise UserError(
                f"{where} has category_id {category_id}, which is not in the "
                f"categories (ids {shorten(list(used))})"
            )
        if not used[category_id]:
            counts.unused_class += 1
            continue
        bbox = annotation.get("bbox")
        if not _is_box(bbox):
            if on_bad_box == "raise":
                raise UserError(
                    f"{where} has bbox {bbox}: it must be [x, y, width, height] with "
                    'sizes that are not negative. Correct it, or set on_bad_box="drop" '
                    "in the data set to leave such boxes out"
                )
            counts.malformed += 1
        elif annotation.get("iscrowd", 0) not in (0, 1):
            raise UserError(f"{where} has iscrowd {annotation['iscrowd']!r}: 0 or 1")
        elif not counts.count_useless(bbox, images[image_id]):
            kept.append(_completed(annotation, ignore_difficult))
    _check_share(document["annotations"], counts, path)
    return {**document, "annotations": kept}, counts


def _check_share(annotations: list[dict], counts: BoxCounts, path: str) -> None:
    """Refuse a file most of whose annotations cannot be used.

    Raises:
        ValueError: names the reasons, or says that boxes are parts of the image's size.
    """
    if counts.unusable * 2 <= len(annotations) or not annotations:
        return
    _check_pixels(annotations, path)
    raise UserError(
        f"{path}: {counts.unusable} of its {len(annotations)} annotations cannot be "
        f"used: {counts}. Correct the file"
    )


def _check_pixels(annotations: list[dict], path: str) -> None:
    """Refuse boxes in parts of the image's size.

    Raises:
        ValueError: there are boxes, and all lie between 0 and 1.
    """
    boxes = [a["bbox"] for a in annotations if _is_box(a.get("bbox"))]
    if boxes and all(max(box) <= 1 for box in boxes):
        raise UserError(
            f"{path}: all boxes lie between 0 and 1, as parts of the image's width and "
            "height; the COCO form is [x, y, width, height] in pixels: multiply them"
        )


def check_truth(document: CocoDocument, path: str) -> CocoDocument:
    """A document that detections are compared with; its boxes are left as they are.

    Boxes of any size count, as in pycocotools. A missing area or ``iscrowd`` is filled
    in.

    Args:
        document: parsed COCO json.
        path: its file, for messages.

    Raises:
        ValueError: an image, a category or a box is not usable, and names it; or all
            boxes are parts of the image's size.
    """
    check_images(document, path)
    _check_pixels(document["annotations"], path)
    json_classes(document, path)
    images = {image["id"] for image in document["images"]}
    categories = {category["id"] for category in document["categories"]}
    complete, seen = [], set()
    for annotation in document["annotations"]:
        where = f"{path}: annotation {annotation.get('id')}"
        for key, known in (("image_id", images), ("category_id", categories)):
            if annotation.get(key) not in known:
                raise UserError(
                    f"{where} has {key} {annotation.get(key)}, which is not in the file"
                )
        if not _is_box(annotation.get("bbox")):
            raise UserError(
                f"{where} has bbox {annotation.get('bbox')}: it must be [x, y, width, "
                "height] with sizes that are not negative"
            )
        if annotation.get("iscrowd", 0) not in (0, 1):
            raise UserError(f"{where} has iscrowd {annotation['iscrowd']!r}: 0 or 1")
        completed = {"iscrowd": 0, **_completed(annotation, ignore_difficult=False)}
        if completed["id"] in seen:
            raise UserError(f"{where} has an id that occurs more than once")
        seen.add(completed["id"])
        complete.append(completed)
    return {**document, "annotations": complete}


def _is_box(bbox: Any) -> bool:
    if not isinstance(bbox, (list, tuple)) or len(bbox) != 4:
        return False
    if not all(type(v) in (int, float) and math.isfinite(v) for v in bbox):
        return False
    return bbox[2] >= 0 and bbox[3] >= 0


def _completed(annotation: dict[str, Any], ignore_difficult: bool) -> dict[str, Any]:
    completed = dict(annotation)
    area = annotation.get("area")
    if type(area) not in (int, float) or not area > 0:
        completed["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    if ignore_difficult and annotation.get("difficult"):
        completed["iscrowd"] = 1
    return completed
