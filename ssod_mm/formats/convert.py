"""Any data folder as a folder in the layout of our configs, converted once.

Known are COCO json, YOLO, VOC and folders of images alone, see ``docs/own_data.md``.
What is converted lies in ``.ssod_mm`` within the data folder, or in the user's cache
where that cannot be written to::

    .ssod_mm/<fingerprint>/<name>/annotations/instances_train.json, instances_val.json
                                  train, val      links to the data folder

Images without labels are listed in ``instances_unlabelled.json``.

The fingerprint changes with the source, so that nothing old is read; what an earlier
run reads stays where it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from ssod_mm.durable import write_durably
from ssod_mm.errors import UserError
from ssod_mm.formats.cache import alone, caches, writable_cache
from ssod_mm.formats.coco import plan_coco
from ssod_mm.formats.collect import TRAIN, UNLABELLED, VAL, Documents, Plan, say
from ssod_mm.formats.images import EXTENSIONS, file_names
from ssod_mm.formats.voc import plan_voc
from ssod_mm.formats.yolo import plan_yolo

TRAIN_JSON = Path("annotations", "instances_train.json")
VAL_JSON = Path("annotations", "instances_val.json")
UNLABELLED_JSON = Path("annotations", "instances_unlabelled.json")
VERSION = "1"
"""Of the conversion; part of the fingerprint."""
_TEXTS = (".txt", ".yaml", ".yml", ".names")
_FORMATS = (
    "COCO json (annotations/instances_train.json and instances_val.json with train/ "
    "and val/), YOLO (data.yaml or classes.txt with images/ and labels/) or VOC "
    "(JPEGImages/ and Annotations/)"
)


def coco_folder(root: str | Path) -> Path:
    """The folder with a user's data in the layout of our configs.

    Args:
        root: a folder in any of the formats.

    Returns:
        The folder itself where it has that layout, else the converted one.

    Raises:
        FileNotFoundError: there is no such folder.
        UserError: it has none of the formats, or a file in it is wrong.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        raise FileNotFoundError(f"there is no data folder {root}")
    if (root / TRAIN_JSON).is_file():
        return root
    plan = plan_folder(root)
    if plan is None:
        num_images = sum(1 for _ in file_names(root, EXTENSIONS))
        if num_images:
            raise UserError(
                f"{root} holds {num_images} images without labels: train on a folder "
                "with labels and name this one with --unlabelled, or let a trained "
                f"model label it (ssod label {root} --model RUN). Labels are in "
                f"{_FORMATS}"
            )
        raise UserError(f"{root} holds no data in a known form: {_FORMATS}")
    return converted(plan)


def coco_folder_or_none(root: str | Path) -> Path | None:
    """As :func:`coco_folder`, but None for a folder without one of the formats."""
    root = Path(os.path.abspath(root))
    if not root.is_dir() or (root / TRAIN_JSON).is_file():
        return None
    plan = plan_folder(root)
    return None if plan is None else converted(plan)


def plan_folder(root: Path) -> Plan | None:
    """What a folder consists of; None where it is in none of the formats.

    A ``data.yaml`` decides for YOLO; else xml files go before text files, and these
    before json.

    Raises:
        UserError: the files do not fit together.
    """
    names = sorted(file_names(root, (*EXTENSIONS, *_TEXTS, ".xml", ".json")))
    paths = [root / name for name in names]
    images = [path for path in paths if path.suffix.lower() in EXTENSIONS]
    by_ending = {
        ending: [p for p in paths if p.suffix.lower() == ending]
        for ending in (*_TEXTS, ".xml", ".json")
    }
    texts = [path for ending in _TEXTS for path in by_ending[ending]]
    if any(path.suffix in (".yaml", ".yml") for path in texts):
        plan = plan_yolo(root, images, texts)
        if plan is not None:
            return plan
    return (
        plan_voc(root, images, by_ending[".xml"], texts)
        or plan_yolo(root, images, texts)
        or plan_coco(root, images, by_ending[".json"])
    )


def fingerprint(plan: Plan) -> str:
    """Sixteen letters that change with the files that a plan reads.

    Of label files name, size and time count, of images name and size.
    """
    digest = hashlib.sha256(f"{VERSION} {plan.kind}".encode())
    for path in plan.images:
        name = path.relative_to(plan.root)
        digest.update(os.fsencode(f"\n{name} {path.stat().st_size}"))
    for path in plan.labels:
        stat = path.stat()
        name = os.path.relpath(path, plan.root)
        digest.update(os.fsencode(f"\n{name} {stat.st_size} {stat.st_mtime_ns}"))
    return digest.hexdigest()[:16]


def converted(plan: Plan) -> Path:
    """The converted folder of a plan, made where it is missing.

    Several processes may ask at once: one converts, the others wait for it. It is
    there whole or not at all.

    Raises:
        UserError: a file of the source is wrong.
    """
    code, name = fingerprint(plan), plan.root.name or "data"
    for cache in caches(plan.root):
        if (cache / code / name).is_dir():
            return cache / code / name
    cache = writable_cache(plan.root)
    with alone(cache):
        if not (cache / code / name).is_dir():
            _convert(plan, cache, code, name)
    return cache / code / name


def _convert(plan: Plan, cache: Path, code: str, name: str) -> None:
    many = len(plan.images) + len(plan.labels)
    if many > 2000:
        say(f"converting {plan.root} ({plan.kind}, {many} files)")
    documents, notes = plan.read()
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=cache))
    try:
        folder = draft / name
        for part, document in documents.items():
            if part != UNLABELLED or document["images"]:
                path = folder / TRAIN_JSON.with_name(f"instances_{part}.json")
                write_durably(path, json.dumps(document))
        # File names begin at the data folder. Beside the data the links are relative,
        # so that the folder can be moved.
        beside = cache.parent == plan.root
        source = Path(*[".."] * 3) if beside else plan.root
        for part in (TRAIN, VAL):
            (folder / part).symlink_to(source, target_is_directory=True)
        draft.chmod(0o755)
        os.rename(draft, cache / code)
    except OSError:
        if not (cache / code / name).is_dir():  # else another process was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    for line in [_summary(plan, documents, cache / code / name), *notes]:
        say(line)


def _summary(plan: Plan, documents: Documents, folder: Path) -> str:
    counts = [
        f"{part} {len(documents[part]['images'])} images, "
        f"{len(documents[part].get('annotations') or [])} boxes"
        for part in (TRAIN, VAL)
    ]
    classes = len(documents[TRAIN].get("categories") or [])
    return (
        f"{plan.root} ({plan.kind}): {'; '.join(counts)}; {classes} classes; converted "
        f"to {folder}"
    )
