"""The embedded dataset: seeded drawings of eight shapes, COCO json plus JPEG.

``make_shapes`` writes::

    <root>/annotations/instances_train.json, instances_val.json
    <root>/train/000000.jpg ...   <root>/val/   (and <root>/unlabelled/ on request)
    <root>/shapes.json            the manifest, written last

Each image depends on the seed, its part and its index alone, so neither the number
of worker processes nor the size of the set changes it. A finished set with the same
parameters is kept; an unfinished or different one is drawn anew.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from ssod_mm.data.shapes.glyphs import CLASSES
from ssod_mm.data.shapes.scene import SceneSpec, draw_scene
from ssod_mm.errors import UserError

SHAPES_VERSION = 3
"""Raised whenever the same parameters would give other images."""

_MANIFEST = "shapes.json"
_LOCK = ".shapes.lock"
_PARTS = ("train", "val", "unlabelled")

Progress = Callable[[str, int, int], None]
"""Called with the part, the number of images done and their total."""


@dataclass(frozen=True)
class ShapesSpec:
    """Everything that the set's content depends on.

    Attributes:
        num_train: images of the part that the label splits divide.
        num_val: images of the evaluation part.
        num_unlabelled: extra images without annotations, in a plain folder.
        seed: seed of the whole set.
        jpeg_quality: 1 to 100.
        scene: what an image may look like.
    """

    num_train: int = 1000
    num_val: int = 200
    num_unlabelled: int = 0
    seed: int = 0
    jpeg_quality: int = 90
    scene: SceneSpec = field(default_factory=SceneSpec)

    def __post_init__(self) -> None:
        """Refuses values that no set can have.

        Raises:
            ValueError: for a part without images or a setting out of range.
        """
        if self.num_train < 1 or self.num_val < 1 or self.num_unlabelled < 0:
            raise UserError(
                "shapes: num_train and num_val must be at least 1 and num_unlabelled "
                f"at least 0, got {self.num_train}, {self.num_val} and "
                f"{self.num_unlabelled}"
            )
        if self.seed < 0:
            raise UserError(f"shapes: seed must not be negative, got {self.seed}")
        if not 1 <= self.jpeg_quality <= 100:
            raise UserError(
                f"shapes: jpeg_quality must be 1 to 100, got {self.jpeg_quality}"
            )

    def part_sizes(self) -> dict[str, int]:
        """Number of images of each part."""
        return dict(
            zip(
                _PARTS,
                (self.num_train, self.num_val, self.num_unlabelled),
                strict=True,
            )
        )


def make_shapes(
    root: str | Path,
    spec: ShapesSpec | None = None,
    workers: int = 2,
    progress: Progress | None = None,
) -> bool:
    """Writes the set below ``root`` unless exactly this set is there already.

    Two processes that ask for the same folder do not disturb each other: the
    second waits and then finds the finished set.

    Args:
        root: folder of the set; created if absent.
        spec: content of the set.
        workers: processes that draw; 1 draws in the calling process.
        progress: told about each finished batch of images.

    Returns:
        Whether anything had to be drawn.

    Raises:
        ValueError: if ``root`` holds files that this function did not write.
        UserError: if the folder or an image cannot be written.
    """
    root, spec = Path(root), spec or ShapesSpec()
    _check_ownership(root)
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot create {root}: {error.strerror}") from error
    with _locked(root / _LOCK):
        if is_complete(root, spec):
            return False
        (root / _MANIFEST).unlink(missing_ok=True)
        for name in (*_PARTS, "annotations"):
            shutil.rmtree(root / name, ignore_errors=True)
        (root / "annotations").mkdir()
        for part, count in spec.part_sizes().items():
            if count:
                records = _draw_part(root, part, count, spec, workers, progress)
                if part != "unlabelled":
                    target = root / "annotations" / f"instances_{part}.json"
                    target.write_text(json.dumps(_coco(part, records, spec)))
        _write_atomically(root / _MANIFEST, json.dumps(_manifest(spec), indent=2))
    return True


def is_complete(root: str | Path, spec: ShapesSpec | None = None) -> bool:
    """Whether ``root`` holds a finished set of exactly these parameters."""
    root, spec = Path(root), spec or ShapesSpec()
    try:
        manifest = json.loads((root / _MANIFEST).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return False
    if manifest != json.loads(json.dumps(_manifest(spec))):
        return False
    images = all(
        sum(1 for _ in (root / part).glob("*.jpg")) == count
        for part, count in spec.part_sizes().items()
    )
    annotations = root / "annotations"
    return images and all(
        (annotations / f"instances_{part}.json").is_file() for part in _PARTS[:2]
    )


def _manifest(spec: ShapesSpec) -> dict[str, Any]:
    return {"shapes_version": SHAPES_VERSION, "spec": asdict(spec)}


def _check_ownership(root: Path) -> None:
    if root.exists() and not root.is_dir():
        raise UserError(f"{root} is a file; the shapes dataset needs a folder")
    ours = (root / _MANIFEST).exists() or (root / _LOCK).exists()
    if root.is_dir() and not ours and any(root.iterdir()):
        raise UserError(
            f"{root} holds files that are not the shapes dataset; nothing was "
            "changed. Choose an empty or new folder."
        )


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds an advisory lock that the system releases even if we are killed."""
    with path.open("w") as handle:
        try:
            import fcntl
        except ImportError:  # a system without advisory locks
            yield
            return
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _write_atomically(path: Path, text: str) -> None:
    unfinished = path.with_name(path.name + ".part")
    unfinished.write_text(text)
    os.replace(unfinished, path)


def _draw_part(
    root: Path,
    part: str,
    count: int,
    spec: ShapesSpec,
    workers: int,
    progress: Progress | None,
) -> list[dict[str, Any]]:
    """Draws all images of a part; returns one record per image, in order."""
    (root / part).mkdir()
    draw = partial(_draw_image, root / part, part, spec)
    records = []
    for record in _mapped(draw, range(count), workers):
        records.append(record)
        if progress and (len(records) % 25 == 0 or len(records) == count):
            progress(part, len(records), count)
    return records


def _mapped(
    draw: Callable[[int], dict[str, Any]], indices: range, workers: int
) -> Iterator[dict[str, Any]]:
    """``map`` in order, over forked processes where the system can fork."""
    if workers <= 1 or "fork" not in multiprocessing.get_all_start_methods():
        yield from map(draw, indices)
        return
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(workers, context, _single_threaded) as pool:
        yield from pool.map(draw, indices, chunksize=16)


def _single_threaded() -> None:
    cv2.setNumThreads(0)


def _draw_image(folder: Path, part: str, spec: ShapesSpec, index: int) -> dict:
    rng = np.random.default_rng([spec.seed, _PARTS.index(part), index])
    scene = draw_scene(spec.scene, rng)
    path = folder / f"{index:06d}.jpg"
    quality = [cv2.IMWRITE_JPEG_QUALITY, spec.jpeg_quality]
    if not cv2.imwrite(str(path), scene.image, quality):
        raise UserError(f"cannot write {path}: is the disk full or read-only?")
    height, width = scene.image.shape[:2]
    return {
        "file_name": path.name,
        "width": width,
        "height": height,
        "objects": list(
            zip(
                scene.boxes.tolist(),
                scene.labels.tolist(),
                scene.areas.tolist(),
                scene.visibility.round(4).tolist(),
                strict=True,
            )
        ),
    }


def _coco(part: str, records: list[dict[str, Any]], spec: ShapesSpec) -> dict[str, Any]:
    """The part's annotations in COCO's format; ids start at 1."""
    images, annotations = [], []
    for image_id, record in enumerate(records, start=1):
        images.append(
            {"id": image_id, **{k: v for k, v in record.items() if k != "objects"}}
        )
        for bbox, label, area, visibility in record["objects"]:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label + 1,
                    "bbox": bbox,
                    "area": area,
                    "iscrowd": 0,
                    "visibility": visibility,
                }
            )
    return {
        "info": {
            "description": f"ssod_mm shapes, {part}: visible extents of drawn shapes",
            "version": str(SHAPES_VERSION),
            "seed": spec.seed,
        },
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)
        ],
    }
