"""COCO annotation files: read, checked, and matched with each other by class name.

Whatever is wrong in a file is one clear error here, or a count, and not a wrong number
later.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine import fileio

from ssod_mm.errors import UserError
from ssod_mm.mmdet_datasets import COCO

CocoDocument = dict[str, Any]
LARGEST_SIDE = 2**31


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


def read_coco_json(
    path: str | Path,
    backend_args: dict[str, Any] | None = None,
    key: str = "ann_file",
    needs: Sequence[str] = ("images", "categories"),
) -> CocoDocument:
    """Parse a COCO json and check the form of its images, categories and annotations.

    Args:
        path: the file, in UTF-8, UTF-16 or UTF-32.
        backend_args: of ``mmengine.fileio``.
        key: config key or option that names the file, for messages.
        needs: parts that the file must have.

    Returns:
        The document; parts that the file need not have are lists, empty where it has
        none, and each annotation has an id.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no json, a part is missing, or an entry has another form;
            names the entry.
    """
    path = str(path)
    if not fileio.exists(path, backend_args=backend_args):
        hint = "; label splits are made by tools/make_splits.py" if "@" in path else ""
        raise FileNotFoundError(f"annotation file {path} ({key}) not found{hint}")
    if Path(path).exists() and not Path(path).is_file():
        raise UserError(f"annotation file {path} ({key}) is no regular file")
    try:
        document = json.loads(fileio.get(path, backend_args=backend_args))
    except (ValueError, RecursionError) as error:
        raise UserError(f"annotation file {path} is no valid json: {error}") from None
    for part in needs:
        if not isinstance(document, dict) or not isinstance(document.get(part), list):
            raise UserError(
                f'annotation file {path} has no list "{part}"; the COCO form needs '
                '"images", "categories" and, for labelled data, "annotations"'
            )
    for part in ("images", "categories", "annotations"):
        if document.get(part) is None:
            document[part] = []
    _check_entries(document, "images", "image", path)
    _check_entries(document, "categories", "category", path)
    _check_entries(document, "annotations", "annotation", path)
    used = [a["id"] for a in document["annotations"] if "id" in a]
    free = itertools.count(1 + max(used, default=0))
    for annotation in document["annotations"]:
        if "id" not in annotation:
            annotation["id"] = next(free)
    return document


def _check_entries(
    document: CocoDocument, part: str, what: str, path: str | Path
) -> None:
    """Check that a part is a list of objects whose ids and names have the right kind.

    Raises:
        ValueError: one has not; names it.
    """
    entries = document[part]
    if not isinstance(entries, list):
        raise UserError(f'{path}: "{part}" must be a list, not {_kind(entries)}')
    whole = ("id", "image_id", "category_id") if what == "annotation" else ("id",)
    text = {"image": ("file_name",), "category": ("name",)}.get(what, ())
    for position, entry in enumerate(entries):
        if type(entry) is not dict:
            raise UserError(
                f"{path}: {what} number {position} must be an object in braces, not "
                f"{_kind(entry)}"
            )
        for field in whole:
            if type(entry.get(field, 0)) is not int:
                raise _wrong_field(entry, field, "a whole number", what, position, path)
        for field in text:
            value = entry.get(field, "-")
            if type(value) is not str or not value:
                raise _wrong_field(entry, field, "a text", what, position, path)


def _wrong_field(
    entry: dict, field: str, wanted: str, what: str, position: int, path: str | Path
) -> UserError:
    name = entry.get("file_name", entry.get("name", entry.get("id")))
    return UserError(
        f"{path}: {what} number {position} ({name}) has {field} = {entry[field]!r}; it "
        f"must be {wanted}"
    )


def _kind(value: Any) -> str:
    return {type(None): "null", str: "a text", list: "a list"}.get(
        type(value), type(value).__name__
    )


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
            raise UserError(
                f"{path}: image number {position} ({image.get('file_name')}) has no "
                f"{', '.join(missing)}"
            )
        for field in ("width", "height"):
            size = image[field]
            whole = type(size) in (int, float) and math.isfinite(size)
            if not whole or not 1 <= size < LARGEST_SIDE or size != int(size):
                raise _wrong_field(
                    image, field, "a whole number of pixels", "image", position, path
                )
        if image["id"] in seen:
            raise UserError(f"{path}: image id {image['id']} occurs more than once")
        seen.add(image["id"])


def check_file_names(document: CocoDocument, path: str) -> None:
    """Check that no image is there twice, under two ids.

    Raises:
        ValueError: a ``file_name`` occurs more than once; names it.
    """
    counts = Counter(image["file_name"] for image in document["images"])
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise UserError(
            f"{path}: {len(twice)} file names occur more than once, such as "
            f"{twice[0]}; each image must stand in the file once"
        )


def json_classes(document: CocoDocument, path: str | Path) -> tuple[str, ...]:
    """Names of the categories in the order of the file.

    Raises:
        ValueError: there is none, one has no name or id, or a name or an id occurs
            twice.
    """
    if not document["categories"]:
        raise UserError(f'{path}: "categories" is empty')
    for position, category in enumerate(document["categories"]):
        missing = [key for key in ("id", "name") if key not in category]
        if missing:
            raise UserError(
                f"{path}: category number {position} has no {' and no '.join(missing)}"
            )
    names = tuple(category["name"] for category in document["categories"])
    ids = [category["id"] for category in document["categories"]]
    for what, values in (("name", names), ("id", ids)):
        twice = [value for value in dict.fromkeys(values) if values.count(value) > 1]
        if twice:
            raise UserError(
                f"{path}: category {what} {twice[0]!r} occurs more than once; detector "
                "labels would be ambiguous"
            )
    return names


def match_classes(
    wanted: Sequence[str], given: Sequence[str], wanted_by: str, given_by: str
) -> tuple[str, ...]:
    """Class names of one source, checked to be all there in another one.

    Labels are matched by name, never by position: the order of ``wanted`` is kept.

    Args:
        wanted: the names in the order of the labels.
        given: the names that the other source has, in any order.
        wanted_by: what has ``wanted``, for the message.
        given_by: what has ``given``.

    Returns:
        ``wanted`` as a tuple.

    Raises:
        ValueError: a name is missing; names both lists.
    """
    missing = [name for name in wanted if name not in given]
    if missing:
        raise UserError(
            f"the classes of {given_by} do not match those of {wanted_by}: "
            f"{_shorten(missing)} is missing; {wanted_by} has {_shorten(wanted)}; "
            f"{given_by} has {_shorten(given)}"
        )
    return tuple(wanted)


def check_classes(classes: Any, names: Sequence[str], path: str) -> tuple[str, ...]:
    """The classes of a config, checked against the categories of a file.

    Args:
        classes: ``metainfo["classes"]`` of the config, in the order of the labels.
        names: category names of the file, in any order.
        path: the file, for the message.

    Raises:
        ValueError: no list of names, or a class is not in the file.
    """
    if isinstance(classes, str):
        raise UserError(
            f"metainfo.classes = {classes!r} is a text, not a list of names; a tuple "
            f'of one class is written ("{classes}",)'
        )
    return match_classes(classes, names, "metainfo.classes", path)


def in_class_order(document: CocoDocument, classes: Sequence[str]) -> CocoDocument:
    """The document with the categories of ``classes`` alone, in that order.

    Labels are positions in this list. The given document is left as it is.
    """
    by_name = {category["name"]: category for category in document["categories"]}
    return {**document, "categories": [by_name[name] for name in classes]}


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
                f"categories (ids {_shorten(list(used))})"
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


def _shorten(values: Sequence[Any], limit: int = 12) -> str:
    text = ", ".join(map(str, values[:limit]))
    return text + (f", ... ({len(values)} in all)" if len(values) > limit else "")
