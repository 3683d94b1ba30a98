"""The folder layout of COCO 2017 as its archives unpack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ssod_mm.coco_json import check_images, read_coco_json
from ssod_mm.errors import UserError


def check_coco_layout(root: str | Path, unlabeled2017: bool = True) -> None:
    """Check that the images and annotation files of COCO are in their places.

    Args:
        root: folder of COCO.
        unlabeled2017: whether the additional unlabelled images are needed.

    Raises:
        FileNotFoundError: something is missing; names all of it.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"COCO folder {root} (--root) not found")
    folders = ["train2017", "val2017"]
    files = ["instances_train2017.json", "instances_val2017.json"]
    if unlabeled2017:
        folders.append("unlabeled2017")
        files.append("image_info_unlabeled2017.json")
    missing = [
        f"{root / name}/ (no folder with images)"
        for name in folders
        if not any((root / name).glob("*.jpg"))
    ]
    missing += [
        str(root / "annotations" / name)
        for name in files
        if not (root / "annotations" / name).is_file()
    ]
    if missing:
        only_unlabelled = all("unlabeled2017" in entry for entry in missing)
        hint = "; --no-unlabeled2017 does without it" if only_unlabelled else ""
        raise FileNotFoundError(f"COCO lacks {', '.join(missing)}{hint}")


def unlabelled_with_categories(
    image_info: str | Path, categories_from: str | Path
) -> dict[str, Any]:
    """Json of images without annotations, with the categories of another file.

    COCO's ``image_info_unlabeled2017.json`` has no categories, without which no data
    set can be built.

    Args:
        image_info: json with ``images``.
        categories_from: json with ``categories``.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: ``image_info`` has no images, or is not usable.
    """
    document = read_coco_json(image_info, needs=("images",))
    check_images(document, str(image_info))
    if not document["images"]:
        raise UserError(f"{image_info} holds no images")
    categories = read_coco_json(categories_from)["categories"]
    return {**document, "categories": categories, "annotations": []}
