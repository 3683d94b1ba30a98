"""Reading and writing the json files of label splits.

A split of ``instances_train2017.json`` at 10 %, fold 1, is three files::

    instances_train2017.1@10.json            labelled images and their annotations
    instances_train2017.1@10-unlabeled.json  the other images, no annotation at all
    instances_train2017.1@10-hidden.json     the withheld boxes, for analysis only

Each stores ``LabelSplit.record`` under ``["info"]["ssod_mm"]``.
"""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.logging import print_log
from terminaltables import AsciiTable

from ssod_mm.coco_boxes import clean_annotations
from ssod_mm.coco_json import (
    check_file_names,
    check_images,
    json_classes,
    read_coco_json,
)
from ssod_mm.data.splits import (
    LabelSplit,
    annotated_image_ids,
    format_percent,
    index_list_split,
    seeded_split,
)
from ssod_mm.errors import UserError

HIDDEN_FIELDS = ("id", "image_id", "category_id", "bbox", "area", "iscrowd")


@dataclass(frozen=True)
class SplitReport:
    """What was written for one split.

    Attributes:
        split: the split itself.
        paths: files by role ("labelled", "unlabelled", "hidden").
        class_counts: labelled boxes (crowds left out) per class name, in the order
            of the categories.
    """

    split: LabelSplit
    paths: dict[str, Path]
    class_counts: dict[str, int]


def write_json(path: str | Path, document: dict[str, Any]) -> None:
    """Write a json so that a crash leaves either the old or the whole new file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        scratch.write_text(json.dumps(document))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def without_annotations(coco: dict[str, Any]) -> dict[str, Any]:
    """The same images and categories, with an empty list of annotations."""
    return {**coco, "annotations": []}


def boxes_only(coco: dict[str, Any]) -> dict[str, Any]:
    """The same json with every annotation reduced to its box and class."""
    annotations = [
        {key: annotation[key] for key in HIDDEN_FIELDS if key in annotation}
        for annotation in coco.get("annotations", [])
    ]
    return {**coco, "annotations": annotations}


def split_paths(out_dir: str | Path, stem: str, split: LabelSplit) -> dict[str, Path]:
    """File names of a split by role."""
    name = f"{stem}.{split.fold}@{format_percent(split.percent)}"
    return {
        "labelled": Path(out_dir) / f"{name}.json",
        "unlabelled": Path(out_dir) / f"{name}-unlabeled.json",
        "hidden": Path(out_dir) / f"{name}-hidden.json",
    }


def split_documents(
    coco: dict[str, Any], split: LabelSplit
) -> dict[str, dict[str, Any]]:
    """The three jsons of a split, by role."""
    labelled_ids = set(split.labelled)
    old_info = coco.get("info")
    info = {
        **(old_info if isinstance(old_info, dict) else {}),
        "ssod_mm": split.record,
    }
    common = {"info": info, "categories": coco["categories"]}
    if "licenses" in coco:
        common["licenses"] = coco["licenses"]

    def part(labelled: bool) -> dict[str, Any]:
        return {
            **common,
            "images": [
                i for i in coco["images"] if (i["id"] in labelled_ids) == labelled
            ],
            "annotations": [
                a
                for a in coco.get("annotations", [])
                if (a["image_id"] in labelled_ids) == labelled
            ],
        }

    rest = part(labelled=False)
    return {
        "labelled": part(labelled=True),
        "unlabelled": without_annotations(rest),
        "hidden": boxes_only(rest),
    }


def check_overwrite(paths: dict[str, Path], split: LabelSplit) -> None:
    """Refuse to replace the files of another split.

    Raises:
        ValueError: a file is there whose record differs, or that has none.
    """
    for path in (paths["labelled"], paths["unlabelled"]):
        if not path.exists():
            continue
        try:
            record = json.loads(path.read_bytes())["info"]["ssod_mm"]
            recorded = {key: record.get(key) for key in split.record}
        except (ValueError, KeyError, TypeError, AttributeError):
            recorded = {}
        if recorded != split.record:
            differing = ", ".join(
                f"{key} {recorded.get(key)!r} (new: {value!r})"
                for key, value in split.record.items()
                if recorded.get(key) != value
            )
            raise UserError(
                f"{path} belongs to another split: {differing}. Choose another "
                "--out, or replace it with --force"
            )


def labelled_class_counts(labelled: dict[str, Any]) -> dict[str, int]:
    """Number of boxes per class name, crowds left out, zero counts kept."""
    counts = Counter(
        a["category_id"] for a in labelled["annotations"] if not a.get("iscrowd", 0)
    )
    return {c["name"]: counts[c["id"]] for c in labelled["categories"]}


def make_splits(
    ann_file: str | Path,
    out_dir: str | Path,
    percents: Sequence[float],
    folds: Sequence[int],
    seed: int = 0,
    *,
    index_list: str | Path | None = None,
    index_pool: str = "annotated",
    hidden: bool = True,
    force: bool = False,
    on_written: Callable[[SplitReport], None] = lambda report: None,
) -> list[SplitReport]:
    """Write the splits of an annotation file for all ratios and folds.

    Nothing is written unless every split can be made and may be written.

    Args:
        ann_file: COCO json with all annotations.
        out_dir: folder for the new files, made if needed.
        percents: ratios in (0, 100].
        folds: numbers of the draws.
        seed: seed of the draws; not used with ``index_list``.
        index_list: file of index lists, see ``index_list_split``.
        index_pool: what those indices count: "annotated" (images with a box that is
            no crowd) or "all" images.
        hidden: whether the withheld annotations are written too.
        force: whether files of another seed or scheme are replaced.
        on_written: called after each split; COCO's twenty take some minutes.

    Annotations of images that the file does not have are left out; these and others
    that training cannot use are counted in the log.

    Raises:
        FileNotFoundError: an input file is missing.
        ValueError: a category is not in the file, an image is there twice, a ratio,
            fold or file is not usable, or see ``check_overwrite``.
    """
    ann_file = Path(ann_file)
    coco = read_coco_json(ann_file, key="--ann")
    check_images(coco, str(ann_file))
    check_file_names(coco, str(ann_file))
    classes = json_classes(coco, ann_file)
    if not coco["annotations"]:
        raise UserError(
            f"annotation file {ann_file} holds no annotation: a split of it would "
            "have no label"
        )
    _, counts = clean_annotations(coco, str(ann_file), classes, on_bad_box="drop")
    if str(counts):
        print_log(
            f"{ann_file}: annotations that training will leave out: {counts}",
            logger="current",
            level=logging.WARNING,
        )
    image_ids = [image["id"] for image in coco["images"]]
    known = set(image_ids)
    coco["annotations"] = [a for a in coco["annotations"] if a.get("image_id") in known]
    if index_list is None:
        splits = [seeded_split(image_ids, p, f, seed) for p in percents for f in folds]
    else:
        lists = _read_index_lists(index_list)
        pool = {"annotated": annotated_image_ids(coco), "all": sorted(image_ids)}
        splits = [
            index_list_split(lists, pool[index_pool], image_ids, p, f)
            for p in percents
            for f in folds
        ]
    if not force:
        for split in splits:
            check_overwrite(split_paths(out_dir, ann_file.stem, split), split)
    reports = []
    for split in splits:
        report = _write_split(coco, split, Path(out_dir), ann_file.stem, hidden)
        on_written(report)
        reports.append(report)
    return reports


def split_table(reports: Sequence[SplitReport]) -> str:
    """Image and box counts and the checksum of each split, as a text table."""
    columns = ("percent", "fold", "seed", "scheme", "labelled", "unlabelled", "boxes")
    rows = [[*columns, "sha256"]]
    for report in reports:
        split = report.split
        rows.append(
            [
                format_percent(split.percent),
                str(split.fold),
                "-" if split.seed is None else str(split.seed),
                split.scheme,
                str(len(split.labelled)),
                str(len(split.unlabelled)),
                str(sum(report.class_counts.values())),
                split.sha256,
            ]
        )
    return str(AsciiTable(rows).table)


def class_table(reports: Sequence[SplitReport]) -> str:
    """Labelled boxes of each class (rows) in each split (columns ``fold@percent``)."""
    names = [f"{r.split.fold}@{format_percent(r.split.percent)}" for r in reports]
    rows = [["labelled boxes", *names]]
    for name in reports[0].class_counts:
        rows.append([name, *(str(r.class_counts[name]) for r in reports)])
    return str(AsciiTable(rows).table)


def _write_split(
    coco: dict[str, Any], split: LabelSplit, out_dir: Path, stem: str, hidden: bool
) -> SplitReport:
    documents = split_documents(coco, split)
    paths = split_paths(out_dir, stem, split)
    if not hidden:
        paths["hidden"].unlink(missing_ok=True)
        del paths["hidden"]
    for role, path in paths.items():
        write_json(path, documents[role])
    return SplitReport(split, paths, labelled_class_counts(documents["labelled"]))


def _read_index_lists(path: str | Path) -> dict[str, dict[str, list[int]]]:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"--index-list {path} not found")
    try:
        lists = json.loads(path.read_bytes())
        for percent, folds in lists.items():
            float(percent)
            for fold, indices in folds.items():
                int(fold)
                if not all(type(index) is int for index in indices):
                    raise TypeError("an index is no integer")
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(
            f"--index-list {path} does not have the form "
            f'{{"10.0": {{"1": [index, ...]}}}}: {error}'
        ) from None
    return lists
