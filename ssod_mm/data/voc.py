"""PASCAL VOC annotations as COCO json.

Difficult objects keep ``"difficult": 1``. COCO-style evaluation knows no such flag and
counts them as ordinary objects; VOC's own evaluation leaves them out. What the json
says besides is chosen by ``difficult``, see ``voc_to_coco``; what a data set makes of
the flag by the key ``difficult`` of ``CocoSemiDataset``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ssod_mm.errors import UserError
from ssod_mm.formats.voc_xml import read_voc_xml

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
VOC_CATEGORIES = [
    {"id": number, "name": name} for number, name in enumerate(VOC_CLASSES, start=1)
]
DIFFICULT_CHOICES = ("flag", "crowd", "drop")


def missing_voc_parts(devkit: str | Path, year: int, image_set: str) -> list[Path]:
    """Paths of VOCdevkit that a part of VOC needs and that are not there.

    Args:
        devkit: folder that holds ``VOC2007`` and ``VOC2012``.
        year: 2007 or 2012.
        image_set: "trainval", "test" ...
    """
    root = Path(devkit) / f"VOC{year}"
    list_file = root / "ImageSets" / "Main" / f"{image_set}.txt"
    folders = [root / "Annotations", root / "JPEGImages"]
    missing = [folder for folder in folders if not folder.is_dir()]
    return missing + ([] if list_file.is_file() else [list_file])


def image_set_names(devkit: str | Path, year: int, image_set: str) -> list[str]:
    """Names of the images of a part, such as "000005", in the order of its list.

    Raises:
        FileNotFoundError: a folder, the list, an xml or an image is missing.
        ValueError: the list is empty or no text, or names something that is no number
            or occurs twice.
    """
    missing = missing_voc_parts(devkit, year, image_set)
    if missing:
        raise FileNotFoundError(
            f"VOC{year} {image_set}: missing {', '.join(map(str, missing))}"
        )
    root = Path(devkit) / f"VOC{year}"
    list_file = root / "ImageSets" / "Main" / f"{image_set}.txt"
    try:
        lines = list_file.read_text("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{list_file} is no text in UTF-8") from None
    names = [line.split()[0] for line in lines if line.strip()]
    if not names:
        raise UserError(f"{list_file} names no image")
    for name in names:
        if re.fullmatch("[0-9_]*[0-9]", name) is None:
            raise UserError(f"{list_file} names {name}, which is no number of VOC's")
    if len(set(names)) < len(names):
        raise UserError(f"{list_file} names an image more than once")
    for folder, ending in (("Annotations", ".xml"), ("JPEGImages", ".jpg")):
        present = {path.name for path in (root / folder).iterdir()}
        absent = [name for name in names if f"{name}{ending}" not in present]
        if absent:
            raise FileNotFoundError(
                f"{root / folder} lacks {len(absent)} of the {len(names)} files that "
                f"{list_file} names, the first is {absent[0]}{ending}; the test set "
                "of VOC2007 comes in an archive of its own"
            )
    return names


def voc_to_coco(
    devkit: str | Path, year: int, image_set: str, difficult: str = "flag"
) -> dict[str, Any]:
    """A part of VOC in COCO form.

    File names are relative to ``devkit``, and image ids differ between the years, so
    parts can be joined.

    Args:
        devkit: folder that holds ``VOC2007`` and ``VOC2012``.
        year: 2007 or 2012.
        image_set: "trainval", "test" ...
        difficult: "flag": difficult objects have ``"difficult": 1`` and are else
            ordinary, so COCO-style evaluation counts them; "crowd": they are crowds
            too, which COCO-style evaluation ignores; "drop": they are left out.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: an xml is not usable; names it.
    """
    if difficult not in DIFFICULT_CHOICES:
        raise UserError(
            f"difficult = {difficult!r}, must be one of {DIFFICULT_CHOICES}"
        )
    folder = f"VOC{year}"
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for name in image_set_names(devkit, year, image_set):
        xml_path = Path(devkit) / folder / "Annotations" / f"{name}.xml"
        width, height, objects = parse_voc_xml(xml_path)
        image_id = int(name.replace("_", ""))
        images.append(
            {
                "id": image_id,
                "file_name": f"{folder}/JPEGImages/{name}.jpg",
                "width": width,
                "height": height,
            }
        )
        for item in objects:
            if item["difficult"] and difficult == "drop":
                continue
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    **item,
                    "iscrowd": int(bool(item["difficult"]) and difficult == "crowd"),
                }
            )
    return {
        "info": {
            "description": f"PASCAL VOC {year} {image_set}",
            "difficult": difficult,
        },
        "images": images,
        "annotations": annotations,
        "categories": [dict(category) for category in VOC_CATEGORIES],
    }


def parse_voc_xml(path: str | Path) -> tuple[int, int, list[dict[str, Any]]]:
    """Width, height and objects of a VOC annotation file.

    Returns:
        Width and height in pixels, and per object ``category_id``, ``bbox``
        ([x, y, width, height], clipped to the image), ``area`` and ``difficult``.

    Raises:
        ValueError: it is no xml, the size is missing, a class is unknown, or a box
            is empty or lies outside the image.
    """
    annotation = read_voc_xml(path)
    faults = list(annotation.faults)
    for item in annotation.objects:
        if item.name not in VOC_CLASSES:
            faults.append(f"class {item.name!r} is not among the 20 classes of VOC")
    if faults or annotation.size is None:
        raise UserError(f"annotation file {path} is not usable: {faults[0]}")
    height, width = annotation.size
    objects = [
        {
            "category_id": VOC_CLASSES.index(item.name) + 1,
            "bbox": item.bbox,
            "area": item.bbox[2] * item.bbox[3],
            "difficult": int(item.difficult),
        }
        for item in annotation.objects
    ]
    return width, height, objects
