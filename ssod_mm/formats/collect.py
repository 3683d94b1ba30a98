"""From images with label files to one COCO document for each part of a data set."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ssod_mm.errors import UserError
from ssod_mm.formats.images import image_size

TRAIN, VAL, TEST, UNLABELLED = "train", "val", "test", "unlabelled"
_WORDS = {
    "train": TRAIN,
    "training": TRAIN,
    "val": VAL,
    "valid": VAL,
    "validation": VAL,
    "test": TEST,
    "testing": TEST,
    "unlabelled": UNLABELLED,
    "unlabeled": UNLABELLED,
}
HELD_OUT = 0.2
"""Share of the images that validate where the folder names none for it."""
NUM_SHOWN = 20

Documents = dict[str, dict[str, Any]]


def say(line: str) -> None:
    """Tell the user something; before a training has a log."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass(frozen=True)
class LabelledImage:
    """An image and its label file.

    Attributes:
        image: the file.
        label: its label file; None where there is none.
        part: "train", "val", "test", "unlabelled", or None where nothing tells.
    """

    image: Path
    label: Path | None
    part: str | None


@dataclass(frozen=True)
class Plan:
    """A data folder whose files are known, but not yet read.

    Attributes:
        kind: its format, in words.
        root: the folder.
        images: the images that it consists of.
        labels: all other files that the result depends on.
        read: reads them; returns documents by part ("train", "val" and, where there
            are such images, "unlabelled"), and notes for the user.
    """

    kind: str
    root: Path
    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    read: Callable[[], tuple[Documents, list[str]]]


@dataclass
class Faults:
    """What is wrong in the files of a folder, each in one line."""

    root: Path
    lines: list[str] = field(default_factory=list)

    def add(self, path: Path, *what: str) -> None:
        """Note faults of a file."""
        self.lines += [f"{path}: {fault}" for fault in what]

    def refuse(self) -> None:
        """Show all faults, and end there.

        Raises:
            UserError: there are some.
        """
        if not self.lines:
            return
        if len(self.lines) > 1:
            for line in self.lines[:NUM_SHOWN]:
                say(line)
        more = len(self.lines) - 1
        others = f" (and {more} more faults below {self.root})" if more else ""
        raise UserError(f"{self.lines[0]}{others}")


def part_of(path: Path, root: Path) -> str | None:
    """The part that the folders of a file name, the innermost first.

    A name counts with digits or an underscore behind it, as in ``train2017``.
    """
    try:
        folders = path.relative_to(root).parts[:-1]
    except ValueError:
        folders = path.parts[:-1]
    return next((p for name in reversed(folders) if (p := part_word(name))), None)


def part_word(name: str) -> str | None:
    """The part that a name stands for, such as "val" for ``Valid_2``."""
    return _WORDS.get(re.sub(r"[\d_\-]+$", "", name.lower()))


def held_out(names: Iterable[str]) -> set[str]:
    """A fifth of some names, at least one, that further names change little.

    The draw depends on nothing but the names: those with the smallest SHA-256.
    """
    ordered = sorted(names, key=lambda name: hashlib.sha256(os.fsencode(name)).digest())
    return set(ordered[: max(1, round(HELD_OUT * len(ordered)))])


def divide(
    images: Sequence[LabelledImage], root: Path
) -> tuple[dict[str, list[LabelledImage]], list[str]]:
    """The images of each part, and notes on what was decided.

    Images without a label file are no part of "val"; those of "train" become
    "unlabelled", as all in a folder of that name are. Without images for validation
    "test" is taken, else a fifth of the others is held out.

    Raises:
        UserError: no image for training has a label file, or only one.
    """
    notes = []
    parts: dict[str, list[LabelledImage]] = {TRAIN: [], VAL: [], UNLABELLED: []}
    named = [replace(i, label=None) for i in images if i.part == UNLABELLED]
    images = [item for item in images if item.part != UNLABELLED]
    labelled = [item for item in images if item.label is not None]
    rest = [item for item in labelled if item.part in (None, TRAIN)]
    val = [item for item in labelled if item.part == VAL]
    test = [item for item in labelled if item.part == TEST]
    if not val and test:
        val, test = test, []
        notes.append("no images named val: those named test validate")
    if test:
        notes.append(f"{len(test)} images named test are not used")
    if not val and len(rest) > 1:
        num_labelled = len(rest)
        kept = held_out(item.image.relative_to(root).as_posix() for item in rest)
        val = [i for i in rest if i.image.relative_to(root).as_posix() in kept]
        rest = [i for i in rest if i.image.relative_to(root).as_posix() not in kept]
        notes.append(
            f"no folder or list names images for validation: {len(val)} of "
            f"{num_labelled} are held out for it"
        )
    if not rest or not val:
        raise UserError(
            f"{root}: {len(rest) + len(val)} images have labels; training and "
            "validation need one each at least"
        )
    parts[TRAIN], parts[VAL] = rest, val
    bare = [item for item in images if item.label is None]
    parts[UNLABELLED] = [item for item in bare if item.part in (None, TRAIN)]
    if parts[UNLABELLED]:
        notes.append(
            f"{len(parts[UNLABELLED])} images have no label file and count as "
            "unlabelled (an empty one says: no object)"
        )
    lost = len(bare) - len(parts[UNLABELLED])
    parts[UNLABELLED] += named
    if lost:
        notes.append(f"{lost} images for validation or test have no label file")
    return parts, notes


def text_lines(path: Path) -> list[str]:
    """Lines of a text file.

    Raises:
        UserError: it is no text in UTF-8.
    """
    try:
        return path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is no text in UTF-8") from None


def read_size(image: Path, faults: Faults) -> tuple[int, int] | None:
    """Height and width of an image; a file that is none is a fault."""
    try:
        return image_size(image)
    except Exception as error:  # PIL raises many kinds on broken heads
        text = str(error).replace(str(image), "the file").replace("'the file'", "it")
        faults.add(image, f"no readable image: {text}")
        return None


def image_entry(
    number: int, image: Path, root: Path, size: tuple[int, int]
) -> dict[str, Any]:
    """An image in COCO form; its name is relative to the folder."""
    return {
        "id": number,
        "file_name": image.relative_to(root).as_posix(),
        "height": size[0],
        "width": size[1],
    }


def document(
    images: list[dict[str, Any]],
    objects: dict[int, list[tuple[str, list[float], dict[str, Any]]]],
    classes: Sequence[str],
    kind: str,
) -> dict[str, Any]:
    """A COCO document.

    Args:
        images: entries of the images.
        objects: class, [x, y, width, height] and further keys, by image id.
        classes: names in the order of the labels.
        kind: the format that it comes from.
    """
    ids = {name: number for number, name in enumerate(classes, start=1)}
    annotations = [
        {
            "image_id": image["id"],
            "category_id": ids[name],
            "bbox": bbox,
            "area": bbox[2] * bbox[3],
            "iscrowd": 0,
            **more,
        }
        for image in images
        for name, bbox, more in objects.get(image["id"], [])
    ]
    return {
        "info": {"description": f"converted from {kind}"},
        "images": images,
        "annotations": [
            {"id": number, **annotation}
            for number, annotation in enumerate(annotations, start=1)
        ],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
    }


def read_parts(
    parts: dict[str, list[LabelledImage]],
    root: Path,
    faults: Faults,
    read: Callable[[Path, tuple[int, int]], list[tuple[str, list[float], dict]]],
) -> tuple[dict[str, list[dict[str, Any]]], dict[int, list]]:
    """Entries of all images by part, and their objects by image id.

    Ids follow the names of the images. Two images with one label file are a fault.

    Args:
        parts: images by part.
        root: the folder.
        faults: takes what is wrong.
        read: objects of a label file, for the image's height and width.
    """
    shared = Counter(
        item.label for items in parts.values() for item in items if item.label
    )
    entries: dict[str, list[dict[str, Any]]] = {part: [] for part in parts}
    objects: dict[int, list] = {}
    named = [(item, part) for part, items in parts.items() for item in items]
    named.sort(key=lambda pair: pair[0].image.as_posix())
    for number, (item, part) in enumerate(named, start=1):
        if item.label is not None and shared[item.label] > 1:
            faults.add(item.label, f"it belongs to several images, as {item.image}")
            continue
        size = read_size(item.image, faults)
        if size is None:
            continue
        entries[part].append(image_entry(number, item.image, root, size))
        if item.label is not None:
            objects[number] = read(item.label, size)
    return entries, objects
