"""Average precision and precision of boxes at each IoU threshold.

Shape legend: T thresholds, C classes.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmdet.evaluation.metrics import coco_metric
from mmengine.structures import InstanceData
from pycocotools.coco import COCO

from ssod_mm.errors import UserError
from ssod_mm.evaluation.coco_metric import FastCOCOeval
from ssod_mm.evaluation.pseudo_label_metric import PseudoLabelCounts, count_matches

THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))


def class_average_precisions(
    ann_file: str | Path,
    detections: Sequence[dict],
    cat_ids: Sequence[int],
    thresholds: Sequence[float] = THRESHOLDS,
    fast: bool = True,
) -> np.ndarray:
    """COCO's average precision of each class at each IoU threshold.

    Args:
        ann_file: COCO json of the truth.
        detections: dicts with ``image_id``, ``category_id``, ``bbox`` (x, y, width,
            height in pixels) and ``score``.
        cat_ids: category ids of the C classes.
        thresholds: IoU thresholds in (0, 1].
        fast: use faster-coco-eval when it is installed.

    Returns:
        (T, C) in [0, 1], at most 100 detections an image; NaN for a class that the
        truth does not have.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(ann_file))
        if detections:
            predictions = truth.loadRes([dict(detection) for detection in detections])
        else:
            predictions = COCO()
            predictions.dataset = {"images": truth.dataset["images"], "annotations": []}
            predictions.createIndex()
        evaluator = FastCOCOeval if fast and FastCOCOeval else coco_metric.COCOeval
        evaluation = evaluator(truth, predictions, "bbox")
        evaluation.params.catIds = list(cat_ids)
        evaluation.params.iouThrs = np.asarray(thresholds, dtype=float)
        evaluation.evaluate()
        evaluation.accumulate()
    # thresholds, recalls, classes, sizes (0: all), detections per image (-1: 100)
    precisions = evaluation.eval["precision"][:, :, :, 0, -1].mean(1)
    return np.where(precisions < 0, np.nan, precisions)


def mean_over_classes(
    ap_TC: np.ndarray, chosen: Sequence[int] | None = None
) -> list[float]:
    """AP of all, or of some, classes together at each threshold.

    Args:
        ap_TC: (T, C), NaN for classes without truth.
        chosen: indices of classes; None for all.

    Returns:
        T values in [0, 1]; NaN where none of the classes has truth.
    """
    part_TC = ap_TC if chosen is None else ap_TC[:, list(chosen)]
    known_C = ~np.isnan(part_TC).any(0)
    if not known_C.any():
        return [float("nan")] * len(part_TC)
    return part_TC[:, known_C].mean(1).tolist()


def rarest_classes(
    ann_file: str | Path, classes: Sequence[str], number: int
) -> list[int]:
    """The classes with the fewest annotations, rarest first.

    Args:
        ann_file: COCO json in which they are counted, such as the labelled part of
            the training set; crowds do not count.
        classes: class names; a class that the file does not have counts zero.
        number: how many.

    Returns:
        Indices of ``classes``; of equally rare ones the first.

    Raises:
        ValueError: ``number`` is below 1 or above the number of classes.
    """
    if not 1 <= number <= len(classes):
        raise UserError(
            f"--rare {number} must lie between 1 and the number of classes, "
            f"{len(classes)}."
        )
    content = json.loads(Path(ann_file).read_text())
    names = {category["id"]: category["name"] for category in content["categories"]}
    counts = Counter(
        names[ann["category_id"]]
        for ann in content["annotations"]
        if not ann.get("iscrowd", 0)
    )
    return sorted(range(len(classes)), key=lambda i: counts[classes[i]])[:number]


def match_counts(
    boxes: Sequence[InstanceData],
    truth: Sequence[InstanceData],
    num_classes: int,
    thresholds: Sequence[float] = THRESHOLDS,
) -> list[PseudoLabelCounts]:
    """Right, wrong and missed boxes of some images at each IoU threshold.

    Args:
        boxes: per image ``bboxes``, ``scores`` and ``labels``.
        truth: per image ``bboxes``, ``labels`` and optionally ``ignored``.
        num_classes: C.
        thresholds: IoU thresholds in (0, 1].

    Returns:
        T counts, to be added up over images.
    """
    return [count_matches(boxes, truth, num_classes, thr) for thr in thresholds]
