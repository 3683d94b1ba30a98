"""Checks of COCO annotation files that turn silent failures into one clear error."""

from __future__ import annotations

import contextlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmdet.datasets.api_wrappers import COCO
from mmengine import fileio

CocoDocument = dict[str, Any]


@dataclass
class BoxCounts:
    """How many annotations were left out, and why.

    Attributes:
        zero_size: width or height is 0.
        malformed: negative size, not four numbers, or not finite.
        unknown_image: the image is not in the file.
        unused_class: the class is in the file, but not among the chosen classes.
    """

    zero_size: int = 0
    malformed: int = 0
    unknown_image: int = 0
    unused_class: int = 0

    def __str__(self) -> str:
        reasons = {
            "with zero size": self.zero_size,
            "malformed": self.malformed,
            "of images that are not in the file": self.unknown_image,
            "of classes that are not in metainfo.classes": self.unused_class,
        }
        return ", ".join(f"{count} {why}" for why, count in reasons.items() if count)


def read_coco_json(
    path: str | Path,
    backend_args: dict[str, Any] | None = None,
    key: str = "ann_file",
) -> CocoDocument:
    """Parse a COCO json and check that it has images and categories.

    Args:
        path: the file.
        backend_args: of ``mmengine.fileio``.
        key: config key or option that names the file, for messages.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no json, or a part is missing.
    """
    path = str(path)
    if not fileio.exists(path, backend_args=backend_args):
        hint = "; label splits are made by tools/make_splits.py" if "@" in path else ""
        raise FileNotFoundError(f"annotation file {path} ({key}) not found{hint}")
    try:
        document = json.loads(fileio.get(path, backend_args=backend_args))
    except ValueError as error:
        raise ValueError(f"annotation file {path} is no valid json: {error}") from None
    for key in ("images", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise ValueError(
                f'annotation file {path} has no list "{key}"; the COCO form needs '
                '"images", "categories" and, for labelled data, "annotations"'
            )
    return document


def check_images(document: CocoDocument, path: str) -> None:
    """Check that every image has an id of its own, a file name and a size.

    Raises:
        ValueError: one has not; names it.
    """
    seen = set()
    for position, image in enumerate(document["images"]):
        missing = [
            key for key in ("id", "file_name", "width", "height") if key not in image
        ]
        if missing:
            raise ValueError(
                f"{path}: image number {position} ({image.get('file_name')}) has no "
                f"{', '.join(missing)}"
            )
        if image["id"] in seen:
            raise ValueError(f"{path}: image id {image['id']} occurs more than once")
        seen.add(image["id"])


def json_classes(document: CocoDocument, path: str) -> tuple[str, ...]:
    """Names of the categories in the order of the file.

    Raises:
        ValueError: there is none, or a name or an id occurs twice.
    """
    names = tuple(category["name"] for category in document["categories"])
    if not names:
        raise ValueError(f'{path}: "categories" is empty')
    ids = [category["id"] for category in document["categories"]]
    for what, values in (("name", names), ("id", ids)):
        twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
        if twice:
            raise ValueError(
                f"{path}: category {what} {twice[0]!r} occurs more than once; detector "
                "labels would be ambiguous"
            )
    return names


def check_classes(classes: Any, names: Sequence[str], path: str) -> tuple[str, ...]:
    """The classes of a config, checked against the categories of a file.

    Labels follow the order of the file, in training and in evaluation alike, so
    another order in the config would give every box a wrong name.

    Args:
        classes: ``metainfo["classes"]`` of the config.
        names: category names of the file, in its order.
        path: the file, for the message.

    Raises:
        ValueError: a class is not in the file, or the order differs.
    """
    if isinstance(classes, str):
        raise ValueError(
            f"metainfo.classes = {classes!r} is a text, not a list of names; a tuple "
            f'of one class is written ("{classes}",)'
        )
    classes = tuple(classes)
    missing = [name for name in classes if name not in names]
    if missing:
        raise ValueError(
            f"metainfo.classes does not match the categories of {path}: "
            f"{_shorten(missing)} are not in the file, which has {_shorten(names)}. "
            "Correct metainfo.classes, or leave it out to take the file's categories"
        )
    in_file_order = tuple(name for name in names if name in classes)
    if in_file_order != classes:
        raise ValueError(
            f"metainfo.classes must keep the order of the categories of {path}: "
            f"{_shorten(in_file_order)}, but is {_shorten(classes)}"
        )
    return classes


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
            always dropped.
        ignore_difficult: mark VOC's difficult objects as crowds, which training
            leaves out of both positives and negatives.

    Returns:
        The new document and the numbers of annotations left out.

    Raises:
        ValueError: a malformed box with "raise", an unknown category id, or an
            annotation id that occurs twice.
    """
    file_names = {image["id"]: image["file_name"] for image in document["images"]}
    used = {c["id"]: c["name"] in classes for c in document["categories"]}
    counts, kept, seen = BoxCounts(), [], set()
    for annotation in document.get("annotations", []):
        image_id = annotation.get("image_id")
        category_id = annotation.get("category_id")
        where = f"{path}: annotation {annotation.get('id')} of image {image_id}"
        if annotation.get("id") in seen:
            raise ValueError(f"{where} has an id that occurs more than once")
        seen.add(annotation.get("id"))
        if image_id not in file_names:
            counts.unknown_image += 1
            continue
        where = f"{where} ({file_names[image_id]})"
        if category_id not in used:
            raise ValueError(
                f"{where} has category_id {category_id}, which is not in the "
                f"categories (ids {_shorten(list(used))})"
            )
        if not used[category_id]:
            counts.unused_class += 1
            continue
        bbox = annotation.get("bbox")
        if not _is_box(bbox):
            if on_bad_box == "raise":
                raise ValueError(
                    f"{where} has bbox {bbox}: it must be [x, y, width, height] with "
                    'sizes that are not negative. Correct it, or set on_bad_box="drop" '
                    "in the data set to leave such boxes out"
                )
            counts.malformed += 1
        elif bbox[2] == 0 or bbox[3] == 0:
            counts.zero_size += 1
        else:
            kept.append(_completed(annotation, ignore_difficult))
    return {**document, "annotations": kept}, counts


def coco_index(document: CocoDocument) -> COCO:
    """Index as mmdet uses it over a document that is already in memory."""
    index = COCO()
    index.dataset = document
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    index.img_ann_map = index.imgToAnns
    index.cat_img_map = index.catToImgs
    return index


def _is_box(bbox: Any) -> bool:
    if not isinstance(bbox, (list, tuple)) or len(bbox) != 4:
        return False
    if not all(isinstance(v, (int, float)) and math.isfinite(v) for v in bbox):
        return False
    return bbox[2] >= 0 and bbox[3] >= 0


def _completed(annotation: dict[str, Any], ignore_difficult: bool) -> dict[str, Any]:
    completed = dict(annotation)
    if (annotation.get("area") or 0) <= 0:
        completed["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    if ignore_difficult and annotation.get("difficult"):
        completed["iscrowd"] = 1
    return completed


def _shorten(values: Sequence[Any], limit: int = 12) -> str:
    text = ", ".join(map(str, values[:limit]))
    return text + (f", ... ({len(values)} in all)" if len(values) > limit else "")
