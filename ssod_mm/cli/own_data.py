"""A user's folder of images: what it must hold, and what trains on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ssod_mm.errors import UserError

UNLABELLED_JSON = Path("annotations", "instances_unlabelled.json")
LAYOUT = (
    "DATA must hold annotations/instances_train.json and instances_val.json (COCO "
    "format) and the image folders train/ and val/."
)


@dataclass(frozen=True)
class OwnData:
    """A folder in the layout that the configs of own data expect.

    Attributes:
        root: the folder, absolute.
        num_classes: of its training json.
    """

    root: Path
    num_classes: int

    @property
    def train_json(self) -> Path:
        """The annotation file of the training images."""
        return self.root / "annotations" / "instances_train.json"

    @property
    def unlabelled(self) -> Path | None:
        """Images of the folder without labels: a json or folder, where it is there."""
        places = (self.root / UNLABELLED_JSON, self.root / "unlabelled")
        return next((place for place in places if place.exists()), None)

    def split_file(self, fold: int, percent: float) -> Path:
        """The labelled images of a split."""
        semi = self.root / "annotations" / "semi"
        return semi / f"instances_train.{fold}@{percent:g}.json"

    def split_options(self, fold: int, percent: float) -> list[str]:
        """Options of the tool that writes a split."""
        out = self.split_file(fold, percent).parent
        numbers = ["--percent", f"{percent:g}", "--fold", str(fold)]
        return ["--ann", str(self.train_json), "--out", str(out), *numbers]

    def options(self, pretrained: str | None = None) -> dict[str, Any]:
        """Overrides that point a config at the folder.

        Args:
            pretrained: ImageNet weights of the backbone; None for the config's.
        """
        options: dict[str, Any] = {"data_root": str(self.root)}
        return {**options, **({"pretrained": pretrained} if pretrained else {})}


def read_own_data(root: str | Path) -> OwnData:
    """Check a folder, convert it where it has another form, and read its classes.

    Raises:
        FileNotFoundError: the folder lacks something; says what.
        UserError: the folder is in no known form, or a file in it is wrong.
    """
    from ssod_mm.formats.convert import coco_folder

    root = coco_folder(Path(root).resolve())
    for part in ("train", "val"):
        ann_file = root / "annotations" / f"instances_{part}.json"
        for path, kind in ((ann_file, "annotation file"), (root / part, "folder")):
            if not path.exists():
                raise FileNotFoundError(f"There is no {kind} {path}. {LAYOUT}")
    ann_file = root / "annotations" / "instances_train.json"
    try:
        num_classes = len(json.loads(ann_file.read_bytes())["categories"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{ann_file} is no COCO json with categories") from error
    return OwnData(root, num_classes)


def with_image_folder(folder: str | Path) -> dict[str, Any]:
    """Overrides for all labels and a plain folder of unlabelled images.

    Args:
        folder: of the images, in any subfolders; or the json that lists those of the
            data folder.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    folder = Path(folder).resolve()
    datasets = "train_dataloader.dataset.datasets"
    labels = {f"{datasets}.0.ann_file": "annotations/instances_train.json"}
    if folder.name == UNLABELLED_JSON.name:
        listed = {f"{datasets}.1.ann_file": str(UNLABELLED_JSON)}
        return {**labels, **listed, "hidden_ann_file": None}
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder} (--unlabelled)")
    return {
        **labels,
        f"{datasets}.1.type": "ImageFolderDataset",
        f"{datasets}.1.data_root": str(folder),
        f"{datasets}.1.ann_file": "",
        f"{datasets}.1.data_prefix.img": "",
        f"{datasets}.1.read_sizes": True,
        # Nobody knows the true boxes of these images.
        "hidden_ann_file": None,
    }


def choose_detector(method: str, names: Mapping[str, str], wanted: str) -> str:
    """The config of a method with another detector.

    Args:
        method: whose configs they are.
        names: config by what its name says of the detector, such as
            ``faster-rcnn_mnv2``.
        wanted: such a name, or the beginning of one.

    Raises:
        UserError: none or several begin so; names those that there are.
    """
    if wanted in names:
        return names[wanted]
    beginnings = [
        name for name in names if name.startswith((f"{wanted}_", f"{wanted}-"))
    ]
    whole = [name for name in beginnings if name.startswith(f"{wanted}_")]
    fitting = whole or beginnings
    if len(fitting) != 1:
        what = "stands for several" if fitting else "is none"
        raise UserError(
            f"--detector {wanted} {what} of the detectors that {method} has on a "
            f"folder: {', '.join(fitting or names)}"
        )
    return names[fitting[0]]
