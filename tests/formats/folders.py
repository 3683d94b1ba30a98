"""The same boxes written as a YOLO and as a VOC folder."""

from __future__ import annotations

import json
from pathlib import Path

from tests.data.coco_files import write_image

CLASSES = ("disc", "box")
SIZES = {"a": (12, 16), "b": (20, 10), "c": (9, 31), "d": (16, 16)}
"""Height and width of each image."""
BOXES = {
    "a": [(0, (2.0, 3.0, 6.0, 5.0)), (1, (0.0, 0.0, 16.0, 12.0))],
    "b": [(1, (1.0, 4.0, 7.0, 11.0))],
    "c": [],
    "d": [(0, (5.0, 5.0, 1.0, 1.0))],
}
"""Class and x, y, width, height of the boxes of each image."""
PARTS = {"a": "train", "b": "train", "c": "train", "d": "val"}


def yolo_line(label, box, size) -> str:
    """A line of a YOLO file, with as many digits as a float has."""
    (x, y, w, h), (height, width) = box, size
    numbers = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
    return " ".join([str(label), *map(repr, numbers)])


def voc_xml(boxes, size, difficult=0) -> str:
    """A VOC annotation with one element a line."""
    height, width = size
    lines = ["<annotation>", f"<size><width>{width}</width>"]
    lines += [f"<height>{height}</height></size>"]
    for label, (x, y, w, h) in boxes:
        lines.append(
            f"<object><name>{CLASSES[label]}</name><difficult>{difficult}</difficult>"
            f"<bndbox><xmin>{x + 1!r}</xmin><ymin>{y + 1!r}</ymin>"
            f"<xmax>{x + w!r}</xmax><ymax>{y + h!r}</ymax></bndbox></object>"
        )
    return "\n".join([*lines, "</annotation>"])


def write_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_yolo(root: Path, layout: str = "images/train", yaml: bool = True) -> Path:
    """A YOLO folder, ``images/train`` or ``train/images``; with or without yaml."""
    for number, (name, size) in enumerate(SIZES.items()):
        folder = layout.replace("train", PARTS[name])
        height, width = size
        image = root / folder / f"{name}.jpg"
        write_image(image, number, height=height, width=width)
        lines = [yolo_line(label, box, size) for label, box in BOXES[name]]
        labels = root / folder.replace("images", "labels")
        write_text(labels / f"{name}.txt", "\n".join(lines))
    if yaml:
        val = layout.replace("train", "val")
        text = f"train: {layout}\nval: {val}\nnc: 2\nnames: {list(CLASSES)}\n"
        write_text(root / "data.yaml", text)
    else:
        write_text(root / "classes.txt", "\n".join(CLASSES) + "\n")
    return root


def write_voc(root: Path, lists: bool = True) -> Path:
    """A VOC folder, with or without ``ImageSets``."""
    for number, (name, (height, width)) in enumerate(SIZES.items()):
        image = root / "JPEGImages" / f"{name}.jpg"
        write_image(image, number, height=height, width=width)
        xml = voc_xml(BOXES[name], SIZES[name])
        write_text(root / "Annotations" / f"{name}.xml", xml)
    if lists:
        for part in ("train", "val"):
            names = [name for name, where in PARTS.items() if where == part]
            path = root / "ImageSets" / "Main" / f"{part}.txt"
            write_text(path, "\n".join(names))
    return root


def read_back(folder: Path) -> dict[str, tuple[str, tuple[int, int], list]]:
    """Part, size and boxes by name of the image, of a folder in our layout."""
    found = {}
    for part in ("train", "val"):
        path = folder / "annotations" / f"instances_{part}.json"
        coco = json.loads(path.read_text())
        names = {c["id"]: c["name"] for c in coco["categories"]}
        for image in coco["images"]:
            assert (folder / part / image["file_name"]).is_file()
            boxes = [
                (CLASSES.index(names[a["category_id"]]), tuple(a["bbox"]))
                for a in coco["annotations"]
                if a["image_id"] == image["id"]
            ]
            size = image["height"], image["width"]
            found[Path(image["file_name"]).stem] = part, size, boxes
    return found
