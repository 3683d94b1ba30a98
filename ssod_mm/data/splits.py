"""Label splits: which images of a data set keep their annotations.

Three families of "1 % of COCO, fold 1" exist in public code: drawn with replacement,
drawn without, and read from a published list of indices. A split therefore carries the
name of its scheme and a checksum of its labelled image ids, so that two results can be
told apart.

Everything here is a pure function of its arguments; files are read and written by
``ssod_mm.data.split_files``.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ssod_mm.errors import UserError

PERMUTATION_SCHEME = "nested-permutation"
INDEX_LIST_SCHEME = "index-list"

ImageId = int | str


@dataclass(frozen=True)
class LabelSplit:
    """One draw of labelled images.

    Attributes:
        percent: share of labelled images, in (0, 100].
        fold: number of the draw; folds are independent of each other.
        scheme: how the images were chosen.
        seed: seed of the draw; ``None`` where the scheme has none.
        labelled: ids of the labelled images, sorted.
        unlabelled: ids of all others, sorted.
    """

    percent: float
    fold: int
    scheme: str
    seed: int | None
    labelled: tuple[ImageId, ...]
    unlabelled: tuple[ImageId, ...]

    @property
    def sha256(self) -> str:
        """Checksum of the labelled image ids."""
        return ids_sha256(self.labelled)

    @property
    def record(self) -> dict[str, Any]:
        """What the written files say about this split."""
        return {
            "percent": self.percent,
            "fold": self.fold,
            "seed": self.seed,
            "scheme": self.scheme,
            "num_labelled": len(self.labelled),
            "sha256": self.sha256,
        }


def ids_sha256(image_ids: Sequence[ImageId]) -> str:
    """Hex sha256 of image ids, sorted, one per line."""
    return hashlib.sha256("\n".join(map(str, sorted(image_ids))).encode()).hexdigest()


def format_percent(percent: float) -> str:
    """Percentage as it appears in file names: 10.0 -> "10", 0.5 -> "0.5"."""
    text = f"{percent:.10f}".rstrip("0").rstrip(".")
    return text or "0"


def labelled_count(num_images: int, percent: float) -> int:
    """Number of labelled images, rounded to the nearest (halves up).

    Raises:
        ValueError: ``percent`` is not in (0, 100], or gives no image.
    """
    if not 0 < percent <= 100:  # also refuses NaN
        raise UserError(
            f"percent = {percent}: must be above 0 and at most 100 "
            "(10 means that 10 % of the images are labelled)"
        )
    exact = Fraction(str(percent)) * num_images / 100
    count = int(exact + Fraction(1, 2))
    if count == 0:
        raise UserError(
            f"percent = {format_percent(percent)} of {num_images} images gives no "
            "labelled image; the smallest percent that gives one is "
            f"{format_percent(_smallest_percent(num_images))}"
            if num_images
            else "the annotation file holds no image, nothing can be split"
        )
    return count


def image_permutation(
    image_ids: Sequence[ImageId], seed: int, fold: int
) -> list[ImageId]:
    """Shuffled image ids; the first k of them are the labelled ones at any ratio.

    The draw uses NumPy's legacy generator, whose stream is frozen, so it does not
    change with the NumPy version, nor with the order of ``image_ids``.

    Raises:
        ValueError: an id occurs twice, or ``seed`` or ``fold`` is out of range.
    """
    _check_unique(image_ids)
    if not (0 <= seed < 2**32 and 0 <= fold < 2**32):
        raise UserError(
            f"seed = {seed}, fold = {fold}: both must be at least 0 and below 2**32"
        )
    ordered = sorted(image_ids)
    order = np.random.RandomState([seed, fold]).permutation(len(ordered))
    return [ordered[position] for position in order]


def seeded_split(
    image_ids: Sequence[ImageId], percent: float, fold: int, seed: int
) -> LabelSplit:
    """Draw the labelled images of a fold, without replacement.

    Within a fold the ratios are nested: the images of 1 % are among those of 5 %.

    Args:
        image_ids: ids of all images, in any order, without repeats.
        percent: share of labelled images, in (0, 100]; 100 leaves none unlabelled.
        fold: number of the draw, from 0.
        seed: seed of the whole family of folds, from 0.

    Raises:
        ValueError: see ``labelled_count`` and ``image_permutation``.
    """
    count = labelled_count(len(image_ids), percent)
    shuffled = image_permutation(image_ids, seed, fold)
    return LabelSplit(
        percent=percent,
        fold=fold,
        scheme=PERMUTATION_SCHEME,
        seed=seed,
        labelled=tuple(sorted(shuffled[:count])),
        unlabelled=tuple(sorted(shuffled[count:])),
    )


def annotated_image_ids(coco: dict[str, Any]) -> list[ImageId]:
    """Ids of the images with at least one annotation that is not a crowd, sorted."""
    annotated = {
        annotation["image_id"]
        for annotation in coco.get("annotations", [])
        if not annotation.get("iscrowd", 0)
    }
    return sorted(image["id"] for image in coco["images"] if image["id"] in annotated)


def index_list_split(
    lists: dict[str, dict[str, list[int]]],
    pool: Sequence[ImageId],
    image_ids: Sequence[ImageId],
    percent: float,
    fold: int,
) -> LabelSplit:
    """Split by a published list of indices (the ``COCO_supervision.txt`` family).

    The form is one json object ``{percent: {fold: [index, ...]}}``. Its keys are
    text: percentages such as "0.01", "0.5", "1.0", "10.0", matched here by value, and
    folds "0" to "9". An index is a position, from 0, in the *pool*: the image ids in
    ascending order, and in the published COCO file only those of the 117266 images of
    train2017 that have at least one annotation that is not a crowd. A list holds
    ``int(percent / 100 * len(pool))`` indices without repeats; unlike seeded splits,
    the ratios of a fold are not nested.

    Deviation: the code that came with those lists leaves images outside the pool out
    of the unlabelled set too; here they are unlabelled images, since nobody knows of
    an unlabelled image that it is empty.

    Args:
        lists: the parsed json.
        pool: ids that the indices point into, ascending.
        image_ids: ids of all images.
        percent: which list, by ratio.
        fold: which list, by number.

    Raises:
        ValueError: the list is missing or does not fit the pool.
    """
    indices = _find_list(lists, percent, fold)
    _check_unique(image_ids)
    name = f"list {format_percent(percent)} % / {fold}"
    expected = int(percent / 100.0 * len(pool))
    if len(indices) != expected:
        raise UserError(
            f"{name} holds {len(indices)} indices, but {expected} belong to "
            f"{format_percent(percent)} % of a pool of {len(pool)} images: another "
            "annotation file, or the other choice of --index-pool"
        )
    if len(set(indices)) != len(indices):
        raise UserError(f"{name} holds an index more than once")
    if indices and not 0 <= min(indices) <= max(indices) < len(pool):
        raise UserError(
            f"{name}: indices must be from 0 to {len(pool) - 1}, found "
            f"{min(indices)} to {max(indices)}"
        )
    if not indices:
        raise UserError(f"{name} holds no index")
    labelled = {pool[index] for index in indices}
    return LabelSplit(
        percent=percent,
        fold=fold,
        scheme=INDEX_LIST_SCHEME,
        seed=None,
        labelled=tuple(sorted(labelled)),
        unlabelled=tuple(sorted(i for i in image_ids if i not in labelled)),
    )


def _find_list(
    lists: dict[str, dict[str, list[int]]], percent: float, fold: int
) -> list[int]:
    """Indices for a ratio and a fold, with keys compared as numbers."""
    by_percent = {float(key): folds for key, folds in lists.items()}
    if float(percent) not in by_percent:
        known = ", ".join(format_percent(key) for key in sorted(by_percent))
        raise UserError(
            f"percent = {format_percent(percent)} is not in the index list file, "
            f"which holds {known}"
        )
    by_fold = {int(key): indices for key, indices in by_percent[float(percent)].items()}
    if fold not in by_fold:
        known = ", ".join(map(str, sorted(by_fold)))
        raise UserError(
            f"fold = {fold} is not in the index list file at "
            f"{format_percent(percent)} %, which holds {known}"
        )
    return by_fold[fold]


def _check_unique(image_ids: Sequence[ImageId]) -> None:
    if len(set(image_ids)) != len(image_ids):
        seen: set[ImageId] = set()
        twice = next(i for i in image_ids if i in seen or seen.add(i))
        raise UserError(f"image id {twice!r} occurs more than once in the images")


def _smallest_percent(num_images: int) -> float:
    """The least percentage of two digits that gives one image."""
    exact = Fraction(50, num_images)
    step = Fraction(10) ** (math.floor(math.log10(exact)) - 1)
    return float(math.ceil(exact / step) * step)
