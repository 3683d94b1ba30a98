"""COCO annotation files: read, their images and classes checked and matched by name.

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
from pathlib import Path
from typing import Any

from mmengine import fileio

from ssod_mm.errors import UserError
from ssod_mm.mmdet_datasets import COCO

CocoDocument = dict[str, Any]
LARGEST_SIDE = 2**31


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
            f"{shorten(missing)} is missing; {wanted_by} has {shorten(wanted)}; "
            f"{given_by} has {shorten(given)}"
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


def coco_index(document: CocoDocument) -> COCO:
    """Index as mmdet uses it over a document that is already in memory."""
    index = COCO()
    index.dataset = document
    with contextlib.redirect_stdout(io.StringIO()):
        index.createIndex()
    index.img_ann_map = index.imgToAnns
    index.cat_img_map = index.catToImgs
    return index


def shorten(values: Sequence[Any], limit: int = 12) -> str:
    """Values for a message; beyond ``limit`` only their number."""
    text = ", ".join(map(str, values[:limit]))
    return text + (f", ... ({len(values)} in all)" if len(values) > limit else "")
