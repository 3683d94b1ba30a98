"""Annotation files of PASCAL VOC's form, and what is wrong in them.

Coordinates: VOC counts pixels from 1 and its ``xmax``, ``ymax`` belong to the box, so
a box over a whole image of width W is 1 to W. In the continuous coordinates of COCO,
where pixel i covers [i, i + 1], that box is x = 0 with width W: 1 is subtracted from
``xmin`` and ``ymin`` only.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

from ssod_mm.errors import UserError

SIDES = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True)
class VocObject:
    """A box with a class.

    Attributes:
        name: of the class.
        bbox: [x, y, width, height] in pixels, clipped to the image.
        difficult: VOC's flag.
    """

    name: str
    bbox: list[float]
    difficult: bool


@dataclass(frozen=True)
class VocImage:
    """What an annotation file says.

    Attributes:
        size: height and width in pixels; None where it names none.
        objects: those without a fault.
        faults: one text for each thing that is wrong, beginning with the line.
    """

    size: tuple[int, int] | None
    objects: list[VocObject]
    faults: list[str]


def read_voc_xml(path: str | Path, size: tuple[int, int] | None = None) -> VocImage:
    """Read an annotation file.

    Args:
        path: the xml.
        size: height and width of the image; None to take those of the file.
    """
    try:
        data = Path(path).read_bytes()
        root = ElementTree.fromstring(data)
    except (ElementTree.ParseError, ValueError, LookupError, OSError) as error:
        return VocImage(None, [], [f"no readable xml: {error}"])
    faults, objects = [], []
    try:
        said = _size(root)
    except ValueError as error:
        faults.append(str(error))
        said = None
    used = size or said
    if used is None:
        return VocImage(said, [], faults or ["it names no size of the image"])
    # ElementTree keeps no line numbers.
    starts = [m.start() for m in re.finditer(rb"<object[\s>/]", data)]
    lines = [data.count(b"\n", 0, start) + 1 for start in starts]
    elements = root.findall("object")
    known = len(lines) == len(elements)
    for number, element in enumerate(elements):
        try:
            objects.append(_voc_object(element, *used))
        except ValueError as error:
            where = f"line {lines[number]}" if known else f"object {number + 1}"
            faults.append(f"{where}: {error}")
    return VocImage(said, objects, faults)


def _size(root: ElementTree.Element) -> tuple[int, int] | None:
    """Height and width; zeros, as some programs write them, say nothing.

    Raises:
        UserError: a size is negative or no number.
    """
    if root.find("size") is None:
        return None
    height, width = (
        round(_number(root, f"size/{side}")) for side in ("height", "width")
    )
    if height == width == 0:
        return None
    if height < 1 or width < 1:
        raise UserError(f"its size is {width} x {height} pixels")
    return height, width


def _number(element: ElementTree.Element, tag: str) -> float:
    """The finite number in a tag.

    Raises:
        UserError: there is none.
    """
    text = element.findtext(tag)
    try:
        number = float("" if text is None else text)
    except ValueError as error:
        raise UserError(f"{tag}: {error}") from None
    if not math.isfinite(number):
        raise UserError(f"{tag} is {number}")
    return number


def _voc_object(element: ElementTree.Element, height: int, width: int) -> VocObject:
    name = element.findtext("name", "").strip()
    if not name:
        raise UserError("an object has no name")
    xmin, ymin, xmax, ymax = (_number(element, f"bndbox/{side}") for side in SIDES)
    left, top = max(xmin - 1, 0.0), max(ymin - 1, 0.0)
    right, bottom = min(xmax, float(width)), min(ymax, float(height))
    if right <= left or bottom <= top:
        raise UserError(
            f"box {[xmin, ymin, xmax, ymax]} of a {name} has no area inside the image "
            f"of {width} x {height} pixels"
        )
    difficult = element.findtext("difficult") and _number(element, "difficult")
    bbox = [left, top, right - left, bottom - top]
    return VocObject(name, bbox, bool(difficult))
