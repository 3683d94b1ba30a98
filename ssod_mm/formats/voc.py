"""Folders of PASCAL VOC's form: an xml for each image, any names and classes."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ssod_mm.errors import UserError
from ssod_mm.formats.collect import (
    TRAIN,
    UNLABELLED,
    VAL,
    Documents,
    Faults,
    LabelledImage,
    Plan,
    divide,
    document,
    part_of,
    read_parts,
    text_lines,
)
from ssod_mm.formats.voc_xml import VocObject, read_voc_xml

# Masks that have the names of the images.
MASK_FOLDERS = ("SegmentationClass", "SegmentationObject")
IMAGE_FOLDERS = ("JPEGImages", "images")
_LISTS = {TRAIN: ("train", "trainval"), VAL: ("val", "test")}


def plan_voc(
    root: Path, images: Sequence[Path], xmls: Sequence[Path], texts: Sequence[Path]
) -> Plan | None:
    """The VOC data set in a folder, or None where there is none.

    Args:
        root: the folder.
        images: all images in it.
        xmls: all xml files in it.
        texts: all text files in it.

    Raises:
        UserError: a list of ``ImageSets/Main`` names what is not there.
    """
    if not any("<annotation" in _head(path) for path in xmls[:20]):
        return None
    by_stem: dict[str, list[Path]] = {}
    for path in images:
        if not set(path.parent.parts) & set(MASK_FOLDERS):
            by_stem.setdefault(path.stem, []).append(path)
    matched: dict[Path, Path] = {}
    strays = []
    for xml in xmls:
        image = _image_of(xml, by_stem.get(xml.stem, []), root)
        if image is None:
            strays.append(xml)
        else:
            matched[image] = xml
    folders = {image.parent for image in matched}
    items = [
        LabelledImage(path, matched.get(path), part_of(path, root))
        for path in sorted({path for paths in by_stem.values() for path in paths})
        if path.parent in folders or part_of(path, root) == UNLABELLED
    ]
    items, lists, left_out = _by_lists(root, items, texts)
    return Plan(
        "VOC",
        root,
        tuple(item.image for item in items),
        (*lists, *sorted(matched.values()), *strays),
        partial(_read, root, tuple(items), strays, left_out),
    )


def _read(
    root: Path, items: Sequence[LabelledImage], strays: Sequence[Path], left_out: int
) -> tuple[Documents, list[str]]:
    parts, notes = divide(items, root)
    faults = Faults(root)

    def read(path: Path, size: tuple[int, int]) -> list[tuple[str, list[float], dict]]:
        annotation = read_voc_xml(path, size)
        faults.add(path, *annotation.faults)
        if annotation.size not in (None, size):
            height, width = annotation.size
            faults.add(
                path,
                f"it says {width} x {height} pixels, the image has {size[1]} x "
                f"{size[0]}",
            )
        return [_as_object(item) for item in annotation.objects]

    entries, objects = read_parts(parts, root, faults, read)
    faults.refuse()
    counts = Counter(name for boxes in objects.values() for name, _, _ in boxes)
    if not counts:
        raise UserError(f"{root}: no xml names an object")
    if strays:
        notes.append(f"{len(strays)} xml files have no image, such as {strays[0]}")
    if left_out:
        notes.append(f"{left_out} images stand in no list of ImageSets/Main")
    classes = sorted(counts)
    documents = {
        part: document(images, objects, classes, "VOC")
        for part, images in entries.items()
    }
    return documents, notes


def _as_object(item: VocObject) -> tuple[str, list[float], dict]:
    return item.name, item.bbox, {"difficult": 1} if item.difficult else {}


def _head(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(300).decode("utf-8", "replace")


def _image_of(xml: Path, images: Sequence[Path], root: Path) -> Path | None:
    """The image of the same name that lies nearest, in the same part.

    Raises:
        UserError: several lie equally near.
    """
    if len(images) < 2:
        return images[0] if images else None

    def nearness(image: Path) -> tuple[bool, bool, int]:
        shared = os.path.commonpath([image.parent, xml.parent])
        return (
            part_of(image, root) == part_of(xml, root),
            bool(set(image.parent.parts) & set(IMAGE_FOLDERS)),
            len(Path(shared).parts),
        )

    first, second, *_ = sorted(images, key=nearness, reverse=True)
    if nearness(first) == nearness(second):
        raise UserError(f"{xml} may belong to {first} or to {second}: name one anew")
    return first


def _by_lists(
    root: Path, items: list[LabelledImage], texts: Sequence[Path]
) -> tuple[list[LabelledImage], list[Path], int]:
    """Images with the part that ``ImageSets/Main`` gives them, where it is there.

    Returns:
        The images, the lists that were read, and how many images stand in none.

    Raises:
        UserError: a list names an image that is not there, or one that the other has.
    """
    main = [t for t in texts if t.parent.parts[-2:] == ("ImageSets", "Main")]
    if not main:
        return items, [], 0
    by_stem = {i.image.stem: i for i in items if i.part != UNLABELLED}
    parts: dict[str, str] = {}
    used = []
    for part, stems in _LISTS.items():
        path = next((t for stem in stems for t in main if t.stem == stem), None)
        if path is None:
            continue
        used.append(path)
        for number, line in enumerate(text_lines(path), start=1):
            if not line.strip():
                continue
            name = line.split()[0]
            stem = name if name in by_stem else Path(name).stem
            if stem not in by_stem:
                raise UserError(f"{path}: line {number}: no image is named {name}")
            if parts.setdefault(stem, part) != part:
                raise UserError(
                    f"{path}: line {number}: {name} is in the list for training too"
                )
    if not used:
        return items, [], 0
    named = [replace(i, part=parts[s]) for s, i in by_stem.items() if s in parts]
    named += [item for item in items if item.part == UNLABELLED]
    return named, used, len(items) - len(named)
