"""Labels out to people and back: a model's labels as COCO json, corrected ones as data.

The first half asks a model. The second checks a corrected file and adds it to the
labelled images of a data folder.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssod_mm.apis.using import Prediction
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.cli.run_folders import run_files
from ssod_mm.durable import write_durably
from ssod_mm.errors import UserError
from ssod_mm.sweep.targets import load_target

TRAIN_JSON = Path("annotations", "instances_train.json")
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # as Label Studio renames what it is given


@dataclass(frozen=True)
class MergedLabels:
    """What corrected labels became.

    Attributes:
        path: the annotation file of the data folder, with the new images.
        backup: the file as it was.
        num_images: images that were added.
        num_boxes: their boxes.
        left_out: boxes that no detector can learn from, in words; "" where there is
            none.
        has_splits: whether label splits of the old file are there.
    """

    path: Path
    backup: Path
    num_images: int
    num_boxes: int
    left_out: str
    has_splits: bool

    def __str__(self) -> str:
        text = (
            f"{self.num_images} images with {self.num_boxes} boxes are added to "
            f"{self.path}; the file as it was is {self.backup.name}"
        )
        if self.left_out:
            text += f"; boxes left out: {self.left_out}"
        if self.has_splits:
            text += (
                "; the label splits in annotations/semi are those of the old file: "
                "make them anew with ssod split --force, or train on all labels"
            )
        return text


def label_folder(
    folder: str | Path,
    run: str | Path,
    *,
    out: str | Path | None = None,
    which: str | None = None,
    score_thr: float = 0.5,
    device: str | None = None,
    trust_checkpoint: bool = False,
) -> Prediction:
    """Let a model label the images of a folder.

    Args:
        folder: folder of the images, in any subfolders.
        run: output folder of a training, or one of the checkpoints in it.
        out: json file; None for ``work_dirs/labels/<folder>.json``.
        which: "teacher" or "student"; None for the one that the run evaluates.
        score_thr: least class probability, in [0, 1].
        device: where to run; None for CUDA if there is any.
        trust_checkpoint: read checkpoints that hold more than weights.

    Returns:
        The labels; file names are relative to the folder.

    Raises:
        FileNotFoundError: a folder or checkpoint is missing.
        UserError: a value out of its range, no image, or a run without a config.
    """
    if not 0 <= score_thr <= 1:
        raise UserError(f"--score-thr {score_thr} must lie in [0, 1]")
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    config, checkpoint = run_files(run)
    cfg = resolve_config(load_target(config), check_files=())
    # Only now, so that a mistake in the command is reported at once.
    from mmengine.device import get_device
    from mmengine.utils import track_iter_progress

    from ssod_mm.apis.inference import evaluated_model, load_detector, predict_images
    from ssod_mm.apis.predictions import VIDEOS, coco_content, image_files
    from ssod_mm.checkpoint_files import trust_checkpoints

    trust_checkpoints(trust_checkpoint)
    which = which or evaluated_model(cfg)
    pairs = [
        pair for pair in image_files([folder]) if pair[0].suffix.lower() not in VIDEOS
    ]
    model = load_detector(cfg, checkpoint, which, device or get_device())
    samples = predict_images(model, cfg, [path for path, _ in pairs])
    labelled, left_out = [], []
    for (path, name), sample in track_iter_progress(
        (zip(pairs, samples, strict=True), len(pairs))
    ):
        if sample is None:
            left_out.append(path)
        else:
            labelled.append((name, sample))
    if not labelled:
        raise UserError(f"no image of {folder} could be read")
    content = coco_content(labelled, model.dataset_meta["classes"], score_thr)
    path = Path(out or Path("work_dirs", "labels", f"{folder.resolve().name}.json"))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_durably(path, json.dumps(content))
    return Prediction(content, path, which, score_thr, tuple(left_out))


def merge_labels(
    corrected: str | Path, folder: str | Path, data: str | Path
) -> MergedLabels:
    """Add corrected labels to the labelled images of a data folder.

    Images that the file names without any box count as images that show nothing.

    Args:
        corrected: COCO json, as a labelling tool exports it: images are known by their
            file names, classes by their names.
        folder: folder of the images.
        data: the data folder; its ``annotations/instances_train.json`` is replaced.

    Raises:
        FileNotFoundError: a file, folder or image is missing.
        UserError: the file is not in COCO form, a class is unknown, an image has
            another size or is labelled already.
    """
    from ssod_mm.coco_boxes import clean_annotations
    from ssod_mm.coco_json import (
        check_file_names,
        check_images,
        json_classes,
        read_coco_json,
    )

    folder, path = Path(folder), Path(data, TRAIN_JSON)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    labelled = read_coco_json(path, key="--into")
    check_images(labelled, str(path))
    known = dict(zip(json_classes(labelled, path), labelled["categories"], strict=True))
    new = read_coco_json(corrected, key="--corrected")
    check_images(new, str(corrected))
    check_file_names(new, str(corrected))
    _check_classes(new, set(known), corrected, path)
    new, counts = clean_annotations(new, str(corrected), json_classes(new, corrected))
    names = _names_beside(new, folder, Path(data, "train"), corrected)
    _check_new(names.values(), labelled, path)
    images, annotations = _numbered(new, names, labelled, known)
    backup = _backup(path)
    whole = {
        **labelled,
        "images": [*labelled["images"], *images],
        "annotations": [*labelled["annotations"], *annotations],
    }
    write_durably(path, json.dumps(whole))
    has_splits = any(Path(data, "annotations", "semi").glob("instances_train.*.json"))
    return MergedLabels(
        path, backup, len(images), len(annotations), str(counts), has_splits
    )


def _check_classes(
    document: dict[str, Any], known: set[str], corrected: str | Path, path: Path
) -> None:
    """Refuse boxes of classes that the labelled images do not have.

    Raises:
        UserError: names the first one.
    """
    names = {entry["id"]: entry.get("name") for entry in document["categories"]}
    for annotation in document["annotations"]:
        name = names.get(annotation.get("category_id"))
        if name is not None and name not in known:
            raise UserError(
                f"{corrected} has boxes of the class {name!r}, which {path} does not "
                f"have; it has {', '.join(sorted(known))}"
            )


def _names_beside(
    document: dict[str, Any], folder: Path, images: Path, corrected: str | Path
) -> dict[int, str]:
    """For every image of a file, its path relative to the folder ``images``.

    Raises:
        FileNotFoundError: it is not in ``folder``.
        UserError: its size is another one, or two names stand for one file.
    """
    from ssod_mm.formats.images import image_size

    by_name: dict[str, list[Path]] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        by_name.setdefault(file.name, []).append(file)
    names = {}
    for image in document["images"]:
        file = folder / image["file_name"]
        if not file.is_file():
            short = Path(image["file_name"]).name
            files = by_name.get(short) or by_name.get(_UPLOADED.sub("", short)) or []
            if len(files) != 1:
                what = "is in several folders" if files else "is not"
                raise FileNotFoundError(
                    f"{corrected}: its image {image['file_name']} {what} in {folder}"
                )
            file = files[0]
        size = image_size(file)
        if size != (image["height"], image["width"]):
            raise UserError(
                f"{corrected}: the image {image['file_name']} is {image['width']} x "
                f"{image['height']} there, but {size[1]} x {size[0]} in {folder}"
            )
        names[image["id"]] = Path(os.path.relpath(file, images)).as_posix()
    if len(set(names.values())) < len(names):
        raise UserError(f"{corrected}: two of its images are the same file")
    return names


def _check_new(names: Any, labelled: dict[str, Any], path: Path) -> None:
    """Refuse images that are labelled already.

    Raises:
        UserError: names one of them.
    """
    old = {os.path.normpath(image["file_name"]) for image in labelled["images"]}
    again = sorted(old & {os.path.normpath(name) for name in names})
    if again:
        raise UserError(
            f"{len(again)} images are labelled in {path} already, such as {again[0]}: "
            "take them out of one of the two files"
        )


def _numbered(
    document: dict[str, Any],
    names: dict[int, str],
    labelled: dict[str, Any],
    known: dict[str, dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Images and annotations of a file with ids that a labelled file leaves free."""
    first = 1 + max((image["id"] for image in labelled["images"]), default=0)
    ids = {image["id"]: first + n for n, image in enumerate(document["images"])}
    images = [
        {
            "id": ids[image["id"]],
            "file_name": names[image["id"]],
            "width": image["width"],
            "height": image["height"],
        }
        for image in document["images"]
    ]
    class_names = {entry["id"]: entry["name"] for entry in document["categories"]}
    used = (annotation["id"] for annotation in labelled["annotations"])
    first = 1 + max(used, default=0)
    annotations = [
        {
            "id": first + number,
            "image_id": ids[annotation["image_id"]],
            "category_id": known[class_names[annotation["category_id"]]]["id"],
            "bbox": annotation["bbox"],
            "area": annotation["bbox"][2] * annotation["bbox"][3],
            "iscrowd": annotation.get("iscrowd", 0),
        }
        for number, annotation in enumerate(document["annotations"])
    ]
    return images, annotations


def _backup(path: Path) -> Path:
    """A copy of a file under the first free name."""
    number = 1
    while (copy := path.with_name(f"{path.stem}.before_{number}.json")).exists():
        number += 1
    write_durably(copy, path.read_bytes())
    return copy
