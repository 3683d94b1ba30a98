"""Folders with COCO json files elsewhere than our configs look for them.

Known are the exports of Roboflow (``train/_annotations.coco.json``), CVAT and Label
Studio (one json for all images), what ``ssod label`` writes, put beside its images, and
COCO's own names with a year.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ssod_mm.errors import UserError
from ssod_mm.formats.collect import (
    TEST,
    TRAIN,
    UNLABELLED,
    VAL,
    Documents,
    Plan,
    held_out,
    part_of,
    part_word,
)

_PARTS = ("images", "annotations", "categories")


def plan_coco(root: Path, images: Sequence[Path], jsons: Sequence[Path]) -> Plan | None:
    """The COCO data set in a folder, or None where there is none.

    Args:
        root: the folder.
        images: all images in it.
        jsons: all json files in it.

    Raises:
        UserError: several files fit one part.
    """
    likely = [
        path
        for path in jsons
        if re.search("instances|annotations", str(path.relative_to(root)), re.I)
    ]
    if not likely:
        likely = [path for path in jsons if _names_boxes(path)]
    by_part: dict[str, list[Path]] = {}
    for path in likely:
        if "@" not in path.name and b'"images"' in path.read_bytes():
            by_part.setdefault(_part(path, root) or "", []).append(path)
    by_part.pop(UNLABELLED, None)
    files = {}
    for part, paths in by_part.items():
        files[part] = _only([p for p in paths if p.stem.startswith("instances")], paths)
    if not files:
        return None
    if VAL not in files and TEST in files and (TRAIN in files or "" in files):
        files[VAL] = files[TEST]
    files.pop(TEST, None)
    if TRAIN not in files and "" in files:
        files[TRAIN] = files.pop("")
    files.pop("", None)
    if TRAIN not in files:
        raise UserError(
            f"{root} has no json of training images; it has "
            f"{', '.join(str(p) for paths in by_part.values() for p in paths)}"
        )
    return Plan(
        "COCO",
        root,
        tuple(images),
        tuple(files.values()),
        partial(_read, root, files, tuple(images)),
    )


def _names_boxes(path: Path) -> bool:
    """Whether a json of any name, such as ``result.json``, may be of the COCO form."""
    content = path.read_bytes()
    return all(f'"{part}"'.encode() in content for part in _PARTS)


def _read(
    root: Path, files: dict[str, Path], images: Sequence[Path]
) -> tuple[Documents, list[str]]:
    documents, notes = {}, []
    for part, path in files.items():
        coco = _load(path)
        folder = _image_folder(root, path, coco, images)
        prefix = os.path.relpath(folder, root)
        names = [
            {**image, "file_name": os.path.normpath(Path(prefix, image["file_name"]))}
            for image in coco["images"]
        ]
        documents[part] = {**coco, "images": names}
        notes.append(f"{part}: {path}, images in {folder}")
    if VAL not in documents:
        coco = documents[TRAIN]
        if len(coco["images"]) < 2:
            raise UserError(f"{files[TRAIN]} names fewer than two images")
        kept = held_out(image["file_name"] for image in coco["images"])
        documents = {
            TRAIN: _only_images(coco, kept, inside=False),
            VAL: _only_images(coco, kept, inside=True),
        }
        notes.append(
            f"no json for validation: {len(kept)} of {len(coco['images'])} images are "
            "held out for it"
        )
    return documents, notes


def _only_images(coco: dict[str, Any], names: set[str], inside: bool) -> dict[str, Any]:
    images = [i for i in coco["images"] if (i["file_name"] in names) == inside]
    ids = {image.get("id") for image in images}
    return {
        **coco,
        "images": images,
        "annotations": [
            a for a in coco.get("annotations") or [] if a.get("image_id") in ids
        ],
    }


def _load(path: Path) -> dict[str, Any]:
    """A json as far as names of images are concerned; data sets check the rest.

    Raises:
        UserError: it is no COCO json.
    """
    try:
        coco = json.loads(path.read_bytes())
        named = all(isinstance(image["file_name"], str) for image in coco["images"])
        owners = all(isinstance(a, dict) for a in coco.get("annotations") or [])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is no COCO json: {error!r}") from None
    if not named or not owners or not coco["images"]:
        raise UserError(f"{path} is no COCO json: it names no images")
    return coco


def _image_folder(
    root: Path, path: Path, coco: dict[str, Any], images: Sequence[Path]
) -> Path:
    """The folder that the file names of a json begin in.

    Raises:
        UserError: its first image is in none, or in several that are equally near.
    """
    name = Path(coco["images"][0]["file_name"])
    part = _part(path, root)
    places = [p for p in images if p.parts[-len(name.parts) :] == name.parts]
    same = [p for p in places if part_of(p, root) == part] or places
    if len(same) > 1:
        same = [p for p in same if p.parent == path.parent] or same
    if len(same) != 1:
        where = "in no folder" if not same else f"in {same[0].parent}, {same[1].parent}"
        raise UserError(f"{path}: its first image, {name}, is {where} below {root}")
    return same[0].parents[len(name.parts) - 1]


def _part(path: Path, root: Path) -> str | None:
    words = re.split(r"[\W_]+", path.stem)
    return next((p for w in words if (p := part_word(w))), None) or part_of(path, root)


def _only(preferred: list[Path], paths: list[Path]) -> Path:
    """The json of a part.

    Raises:
        UserError: there are several.
    """
    chosen = preferred or paths
    if len(chosen) > 1:
        raise UserError(
            f"{chosen[0]} and {chosen[1]} may both be the annotations of a part: leave "
            "one in the folder"
        )
    return chosen[0]
