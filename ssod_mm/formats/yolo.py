"""YOLO folders: a text file of boxes beside or parallel to each image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ssod_mm.errors import UserError
from ssod_mm.formats.collect import (
    TEST,
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
)
from ssod_mm.formats.yolo_source import (
    class_names,
    data_yaml,
    listed_classes,
    yaml_images,
)

CLASS_FILES = ("classes.txt", "obj.names")
# Rounded numbers of exporters may leave the image by this share of its size.
TOLERANCE = 0.01

Box = tuple[int, list[float]]


def plan_yolo(root: Path, images: Sequence[Path], texts: Sequence[Path]) -> Plan | None:
    """The YOLO data set in a folder, or None where there is none.

    Args:
        root: the folder.
        images: all images in it.
        texts: all ``.txt``, ``.yaml``, ``.yml`` and ``.names`` files in it.

    Raises:
        UserError: the file with the classes is missing or damaged.
    """
    yaml_file = data_yaml(root, texts)
    if yaml_file is not None:
        path, data = yaml_file
        classes, parts = class_names(path, data.get("names")), {}
        lists: list[Path] = []
        for key, part in (("train", TRAIN), ("val", VAL), ("test", TEST)):
            for file in yaml_images(path, data, key, lists):
                parts.setdefault(file, part)
        for file in images:
            if part_of(file, root) == UNLABELLED:
                parts.setdefault(file, UNLABELLED)
        items = [LabelledImage(f, _label(f), part) for f, part in parts.items()]
        sources = [path, *lists]
    else:
        items = [LabelledImage(f, _label(f), part_of(f, root)) for f in images]
        if not any(item.label for item in items):
            return None
        class_file = next((t for t in texts if t.name in CLASS_FILES), None)
        if class_file is None:
            raise UserError(
                f"{root} has YOLO labels, such as "
                f"{next(item.label for item in items if item.label)}, but no data.yaml "
                "or classes.txt that names their classes, one a line"
            )
        classes, sources = listed_classes(class_file), [class_file]
    labels = {item.label for item in items if item.label}
    folders = {label.parent for label in labels}
    strays = [
        t
        for t in texts
        if t.parent in folders
        and t.suffix == ".txt"
        and t not in labels
        and t not in sources
        and t.name not in CLASS_FILES
    ]
    return Plan(
        "YOLO",
        root,
        tuple(item.image for item in items),
        (*sources, *sorted(labels), *strays),
        partial(_read, root, tuple(items), tuple(classes), strays),
    )


def _read(
    root: Path,
    items: Sequence[LabelledImage],
    classes: Sequence[str],
    strays: Sequence[Path],
) -> tuple[Documents, list[str]]:
    parts, notes = divide(items, root)
    faults = Faults(root)
    repeated = 0

    def read(path: Path, size: tuple[int, int]) -> list[tuple[str, list[float], dict]]:
        nonlocal repeated
        boxes, wrong = read_yolo_label(path, size, len(classes))
        faults.add(path, *wrong)
        single = [box for n, box in enumerate(boxes) if box not in boxes[:n]]
        repeated += len(boxes) - len(single)
        return [(classes[label], bbox, {}) for label, bbox in single]

    entries, objects = read_parts(parts, root, faults, read)
    faults.refuse()
    if strays:
        notes.append(f"{len(strays)} label files have no image, such as {strays[0]}")
    if repeated:
        notes.append(f"{repeated} lines that stand twice in their file count once")
    documents = {
        part: document(images, objects, classes, "YOLO")
        for part, images in entries.items()
    }
    return documents, notes


def read_yolo_label(
    path: Path, size: tuple[int, int], num_classes: int
) -> tuple[list[Box], list[str]]:
    """Boxes of a label file, and its faults by line.

    A line is ``class x y width height``, centre and size in parts of the image's size,
    or ``class x1 y1 x2 y2 x3 y3 ...``, a polygon, of which the surrounding box counts.

    Args:
        path: the file.
        size: height and width of the image.
        num_classes: classes count from 0.

    Returns:
        Class and [x, y, width, height] in pixels, within the image.
    """
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        return [], ["no text in UTF-8"]
    boxes, faults = [], []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            boxes.append(_box(line.split(), size, num_classes))
        except ValueError as error:
            faults.append(f"line {number}: {error}")
    return boxes, faults


def _box(words: Sequence[str], size: tuple[int, int], num_classes: int) -> Box:
    """A line as class and box.

    Raises:
        UserError: it is none.
    """
    try:
        label, numbers = float(words[0]), [float(word) for word in words[1:]]
    except ValueError:
        raise UserError(f"{' '.join(words)[:60]!r} holds what is no number") from None
    if not all(map(math.isfinite, [label, *numbers])):
        raise UserError("a number is not finite")
    if label != int(label) or not 0 <= label < num_classes:
        raise UserError(
            f"class {words[0]} is none of the {num_classes} classes, 0 to "
            f"{num_classes - 1}"
        )
    if len(numbers) == 4:
        x, y, width, height = numbers
        if width < 0 or height < 0:
            raise UserError(f"the box has a negative size, {width:g} x {height:g}")
        corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        places = numbers
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        corners = [min(numbers[::2]), min(numbers[1::2])]
        corners += [max(numbers[::2]), max(numbers[1::2])]
        places = numbers
    else:
        raise UserError(
            f"{len(words)} numbers; a line is: class x y width height, or a class and "
            "the corners of a polygon"
        )
    outside = [n for n in places if not -TOLERANCE <= n <= 1 + TOLERANCE]
    if outside:
        raise UserError(
            f"{outside[0]:g} is no part of the image's size, 0 to 1; are these pixels?"
        )
    left, top, right, bottom = (min(max(corner, 0.0), 1.0) for corner in corners)
    rows, columns = size
    bbox = [left * columns, top * rows, (right - left) * columns, (bottom - top) * rows]
    return int(label), bbox


def _label(image: Path) -> Path | None:
    """The label file: in ``labels`` in place of the last ``images``, or beside it."""
    parts = list(image.parts)
    places = [image.with_suffix(".txt")]
    if "images" in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index("images")
        parts[last] = "labels"
        places.insert(0, Path(*parts).with_suffix(".txt"))
    return next((place for place in places if place.is_file()), None)
