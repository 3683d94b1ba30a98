"""The part of COCO that shows the 20 classes of PASCAL VOC."""

from __future__ import annotations

from typing import Any

from ssod_mm.data.voc import VOC_CATEGORIES, VOC_CLASSES
from ssod_mm.errors import UserError

# Only the names that differ.
VOC_TO_COCO = {
    "aeroplane": "airplane",
    "diningtable": "dining table",
    "motorbike": "motorcycle",
    "pottedplant": "potted plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}


def coco_name(voc_name: str) -> str:
    """COCO's name of a VOC class."""
    return VOC_TO_COCO.get(voc_name, voc_name)


def filter_coco20(coco: dict[str, Any]) -> dict[str, Any]:
    """Images with at least one object of a VOC class, labelled as VOC would.

    Crowds do not make an image count, but are kept in those that do. Objects of the
    other 60 classes are left out.

    Args:
        coco: parsed COCO json with the 80 classes.

    Returns:
        A COCO json with VOC's 20 categories, names and ids, and the annotations in
        their terms.

    Raises:
        ValueError: a class is missing from the categories, or no image is left.
    """
    id_of_name = {category["name"]: category["id"] for category in coco["categories"]}
    missing = [coco_name(n) for n in VOC_CLASSES if coco_name(n) not in id_of_name]
    if missing:
        raise UserError(
            f"the categories lack {', '.join(missing)}: this is not the annotation "
            "file of COCO's 80 classes"
        )
    new_id = {
        id_of_name[coco_name(name)]: number
        for number, name in enumerate(VOC_CLASSES, start=1)
    }
    annotations = [
        {**annotation, "category_id": new_id[annotation["category_id"]]}
        for annotation in coco["annotations"]
        if annotation["category_id"] in new_id
    ]
    kept = {a["image_id"] for a in annotations if not a.get("iscrowd", 0)}
    images = [image for image in coco["images"] if image["id"] in kept]
    if not images:
        raise UserError("no image holds an object of VOC's 20 classes")
    return {
        **coco,
        "images": images,
        "annotations": [a for a in annotations if a["image_id"] in kept],
        "categories": [dict(category) for category in VOC_CATEGORIES],
    }
