"""Tiny COCO data sets on disk for the tests of this folder."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

CLASSES = ("disc", "box")


def image_array(number: int, height: int = 12, width: int = 16) -> np.ndarray:
    """A smooth (H, W, 3) picture that differs from number to number."""
    coarse = np.random.RandomState(number).randint(0, 256, (3, 4, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height))


def write_image(path: Path, number: int = 0, **size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image_array(number, **size))
    return path


def truncate(path: Path) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    return path


def box(ann_id: int, image_id: int, bbox=(2, 2, 6, 5), category_id=1, **more) -> dict:
    return {
        "id": ann_id,
        "image_id": image_id,
        "category_id": category_id,
        "bbox": list(bbox),
        "area": bbox[2] * bbox[3],
        "iscrowd": 0,
        **more,
    }


def coco_document(num_images: int = 4, annotations: list[dict] | None = None) -> dict:
    """Images 1..n named 0001.jpg ..., by default with one box each."""
    ids = range(1, num_images + 1)
    if annotations is None:
        annotations = [box(100 + i, i, category_id=1 + i % 2) for i in ids]
    return {
        "info": {"description": "tiny"},
        "images": [
            {"id": i, "file_name": f"{i:04d}.jpg", "width": 16, "height": 12}
            for i in ids
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": n} for i, n in enumerate(CLASSES, start=1)],
    }


def write_coco(root: Path, document: dict, name: str = "train.json") -> Path:
    """Write the json and its images (root/img); returns the json's path."""
    root.mkdir(parents=True, exist_ok=True)
    for image in document["images"]:
        write_image(root / "img" / image["file_name"], image["id"])
    path = root / name
    path.write_text(json.dumps(document))
    return path
