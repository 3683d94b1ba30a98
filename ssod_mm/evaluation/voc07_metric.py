"""The VOC devkit's average precision, beside COCO's and never under its name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from mmdet.evaluation.functional.mean_ap import average_precision, tpfp_default
from mmdet.registry import METRICS
from mmengine.evaluator import BaseMetric

from ssod_mm.coco_boxes import check_truth
from ssod_mm.coco_json import match_classes, read_coco_json
from ssod_mm.errors import UserError
from ssod_mm.evaluation.hidden_truth import is_ignored

EVAL_MODES = ("11points", "area")


class ClassTruth(NamedTuple):
    """True boxes of one class on one image, xyxy in pixels."""

    counted: np.ndarray
    """(M, 4) boxes to be found."""
    ignored: np.ndarray
    """(K, 4) difficult ones: finding them neither helps nor hurts."""


NO_TRUTH = ClassTruth(np.zeros((0, 4)), np.zeros((0, 4)))


def voc_average_precision(
    detections: Sequence[np.ndarray],
    truths: Sequence[ClassTruth],
    iou_thr: float = 0.5,
    mode: str = "11points",
) -> float:
    """Average precision of one class by the rules of the VOC devkit.

    In the order of its score each detection is compared with the true box that it
    overlaps most, on its own image. It is right if that IoU reaches ``iou_thr`` and no
    earlier detection took the box; it does not count at all if the box is ignored.

    Args:
        detections: per image (N, 5): xyxy in pixels and score.
        truths: per image, in the same order.
        iou_thr: least IoU.
        mode: "11points" (the rule of VOC2007) or "area" (since VOC2010).

    Returns:
        In [0, 1]; NaN when there is nothing to find.
    """
    num_truths = sum(len(truth.counted) for truth in truths)
    if num_truths == 0:
        return float("nan")
    right, wrong, scores = [np.zeros(0)], [np.zeros(0)], [np.zeros(0)]
    for detected, truth in zip(detections, truths, strict=True):
        if len(detected) == 0:
            continue
        is_right, is_wrong = tpfp_default(
            detected, truth.counted, truth.ignored, iou_thr
        )
        right.append(is_right[0])
        wrong.append(is_wrong[0])
        scores.append(detected[:, 4])
    order = np.argsort(-np.concatenate(scores), kind="stable")
    num_right = np.cumsum(np.concatenate(right)[order])
    num_wrong = np.cumsum(np.concatenate(wrong)[order])
    recalls = num_right / num_truths
    precisions = num_right / np.maximum(num_right + num_wrong, 1e-12)
    return float(average_precision(recalls, precisions, mode))


@METRICS.register_module()
class Voc07Metric(BaseMetric):
    """VOC-style mAP at one IoU threshold, from a COCO-format json.

    Use it beside ``FastCocoMetric``, whose AP (mean over ten IoU thresholds) is what
    papers on semi-supervised detection report for VOC. Results:
    ``voc07/mAP_11points`` or ``voc07/mAP_area``. Annotations with ``difficult``,
    ``ignore`` or ``iscrowd`` set are ignored.

    Args:
        ann_file: COCO-format json of the evaluated images. Its categories are matched
            by name with the classes of the predictions.
        eval_mode: "11points" or "area".
        iou_thr: least IoU of a right detection, in (0, 1].
        classwise: also report ``voc07/<class>_AP_<mode>``.
        collect_device: as in ``BaseMetric``.
        prefix: as in ``BaseMetric``; must not be "coco".

    Raises:
        FileNotFoundError: no ``ann_file``.
        ValueError: bad arguments, or an unusable file.
    """

    default_prefix = "voc07"

    def __init__(
        self,
        ann_file: str | Path,
        eval_mode: str = "11points",
        iou_thr: float = 0.5,
        classwise: bool = False,
        collect_device: str = "cpu",
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        if eval_mode not in EVAL_MODES:
            raise UserError(
                f"Voc07Metric.eval_mode='{eval_mode}' must be one of {EVAL_MODES}."
            )
        if not 0 < iou_thr <= 1:
            raise UserError(f"Voc07Metric.iou_thr={iou_thr} must lie in (0, 1].")
        if self.prefix == "coco":
            raise UserError("Voc07Metric.prefix='coco' would pass for COCO's AP.")
        content = read_coco_json(ann_file, key="Voc07Metric.ann_file")
        self.content = check_truth(content, str(ann_file))
        if not self.content["annotations"]:
            raise UserError(
                f"{ann_file} (Voc07Metric.ann_file) holds no annotation: nothing can "
                "be evaluated; name a labelled file"
            )
        self.eval_mode = eval_mode
        self.iou_thr = iou_thr
        self.classwise = classwise

    @property
    def result_names(self) -> list[str]:
        """Keys of the results without the prefix; "*" where classes have keys too."""
        per_class = [f"*_AP_{self.eval_mode}"] if self.classwise else []
        return [f"mAP_{self.eval_mode}", *per_class]

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the detections of a batch.

        Args:
            data_batch: unused.
            data_samples: predictions with ``img_id`` and ``pred_instances``.
        """
        for sample in data_samples:
            prediction = sample["pred_instances"]
            boxes = prediction["bboxes"].float().cpu().numpy()
            scores = prediction["scores"].float().cpu().numpy()
            self.results.append(
                (
                    sample["img_id"],
                    np.concatenate([boxes, scores[:, None]], axis=1),
                    prediction["labels"].cpu().numpy(),
                )
            )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average precisions of the gathered detections.

        Args:
            results: triples of image id, (N, 5) boxes with score, (N,) labels.

        Returns:
            Values in [0, 1]; classes without a box to find are left out of the mean.
        """
        classes = self.dataset_meta["classes"]
        truth = self._truth(classes)
        values = {}
        for label, name in enumerate(classes):
            values[name] = voc_average_precision(
                [boxes[labels == label] for _, boxes, labels in results],
                [truth[label].get(img_id, NO_TRUTH) for img_id, *_ in results],
                self.iou_thr,
                self.eval_mode,
            )
        known = [value for value in values.values() if value == value]
        metrics = {f"mAP_{self.eval_mode}": float(np.mean(known)) if known else 0.0}
        if self.classwise:
            metrics |= {f"{k}_AP_{self.eval_mode}": v for k, v in values.items()}
        return metrics

    def _truth(self, classes: Sequence[str]) -> list[dict[Any, ClassTruth]]:
        """Per label: image id -> true boxes.

        Raises:
            ValueError: the file lacks a class; names both lists.
        """
        categories = self.content["categories"]
        names = [category["name"] for category in categories]
        classes = match_classes(classes, names, "the model", "the truth")
        label_of = {
            category["id"]: classes.index(category["name"])
            for category in categories
            if category["name"] in classes
        }
        boxes: dict = defaultdict(lambda: ([], []))
        for ann in self.content["annotations"]:
            label = label_of.get(ann["category_id"])
            if label is None:
                continue
            x, y, width, height = ann["bbox"]
            boxes_of_image = boxes[label, ann["image_id"]]
            boxes_of_image[is_ignored(ann)].append((x, y, x + width, y + height))
        truth: list[dict[Any, ClassTruth]] = [{} for _ in classes]
        for (label, img_id), pair in boxes.items():
            truth[label][img_id] = ClassTruth(
                *(np.array(part, dtype=np.float32).reshape(-1, 4) for part in pair)
            )
        return truth
