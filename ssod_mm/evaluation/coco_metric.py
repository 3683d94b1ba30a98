"""COCO average precision with the fast evaluator where it is installed."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import coco_metric
from mmdet.evaluation.metrics.coco_metric import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

from ssod_mm.coco_boxes import check_truth
from ssod_mm.coco_json import CocoDocument, coco_index, match_classes, read_coco_json
from ssod_mm.errors import UserError

try:
    from faster_coco_eval import COCOeval_faster as FastCOCOeval
except ImportError:
    FastCOCOeval = None

BOX_ITEMS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
BEYOND_ALL_AREAS = 1e12
RECALL_ITEMS = ("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000")


@dataclass(frozen=True)
class CocoBreakdown:
    """Average precision of a COCO evaluation in its parts.

    Attributes:
        per_class: AP of each class, in [0, 1]; NaN where it has no object.
        per_iou: AP at each threshold.
        iou_thresholds: the thresholds.
    """

    per_class: dict[str, float]
    per_iou: list[float]
    iou_thresholds: list[float]


def coco_breakdown(evaluator: Any, classes: tuple[str, ...]) -> CocoBreakdown:
    """AP by class and by threshold of an evaluator, over objects of all sizes.

    Args:
        evaluator: a ``COCOeval`` after ``accumulate``.
        classes: names in the order of its categories.
    """
    # thresholds, recalls, classes, sizes, numbers of detections
    precision = np.asarray(evaluator.eval["precision"])[:, :, :, 0, -1]
    known = np.where(precision > -1, precision, np.nan)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a class without an object
        per_class = np.nanmean(known, axis=(0, 1))
        per_iou = np.nanmean(known, axis=(1, 2))
    return CocoBreakdown(
        dict(zip(classes, per_class.tolist(), strict=True)),
        per_iou.tolist(),
        [round(float(threshold), 4) for threshold in evaluator.params.iouThrs],
    )


@contextlib.contextmanager
def coco_evaluator(evaluator: Callable[..., Any]) -> Iterator[None]:
    """Let mmdet's ``CocoMetric`` use another ``COCOeval`` class within a ``with``."""
    stock = coco_metric.COCOeval
    coco_metric.COCOeval = evaluator
    try:
        yield
    finally:
        coco_metric.COCOeval = stock


@METRICS.register_module()
class FastCocoMetric(CocoMetric):
    """mmdet's ``CocoMetric``, faster where faster-coco-eval is installed.

    The numbers are those of pycocotools. Two things differ from the stock metric: when
    nothing at all was detected the results are zeros (stock leaves the keys out, and
    ``save_best`` then fails), and the evaluator's tables are not printed. The AP of
    each class and at each IoU threshold is kept in ``breakdown``.

    Args:
        fast: use faster-coco-eval when it is installed.
        ann_file: COCO json with the truth. Its categories are matched by name with the
            classes of the predictions, whatever their order is.
        ignore_difficult: VOC's difficult objects (``"difficult": 1``) neither count as
            missed nor a detection of them as wrong.
        **kwargs: as in mmdet's ``CocoMetric``.
    """

    def __init__(
        self,
        fast: bool = True,
        ann_file: str | None = None,
        ignore_difficult: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(ann_file=None, **kwargs)
        if ann_file is not None:
            document = read_coco_json(ann_file, self.backend_args, "the evaluator's")
            document = check_truth(document, ann_file)
            if not document["annotations"] and not self.format_only:
                raise UserError(
                    f"{ann_file} holds no annotation: nothing can be evaluated; name "
                    " a labelled file in val_evaluator.ann_file and "
                    "val_dataloader.dataset.ann_file, or set format_only=True"
                )
            if ignore_difficult:
                _ignore_difficult(document)
            self._coco_api = coco_index(document)
        self.iou_thrs = np.atleast_1d(np.asarray(self.iou_thrs, dtype=float))
        self.fast = fast
        self.breakdown: CocoBreakdown | None = None
        self._told = False

    @property
    def result_names(self) -> list[str]:
        """Keys of the results without the prefix; "*" where classes have keys too."""
        names: list[str] = []
        for metric in [] if self.format_only else self.metrics:
            if metric == "proposal_fast":
                names += [f"AR@{num}" for num in self.proposal_nums]
            elif metric == "proposal":
                names += self.metric_items or RECALL_ITEMS
            else:
                names += [f"{metric}_{i}" for i in self.metric_items or BOX_ITEMS]
                names += ["*_precision"] if self.classwise else []
        return names

    def compute_metrics(self, results: list) -> dict[str, float]:
        """The metrics of the gathered predictions.

        Args:
            results: pairs of ground truth and prediction, as ``process`` gathers them.

        Returns:
            Values in [0, 1]; -1 where the ground truth has no object of that size.
        """
        self.breakdown = None
        if not self.format_only and not any(len(pred["labels"]) for _, pred in results):
            MMLogger.get_current_instance().warning(
                "Nothing was detected on any image: the results are zeros."
            )
            return {name: 0.0 for name in self.result_names if "*" not in name}
        if self._coco_api is not None:
            self.cat_ids = self._category_ids()
        self._tell_which()
        kind = FastCOCOeval if self.use_fast else coco_metric.COCOeval
        built: list[Any] = []

        def evaluator(*args: Any, **kwargs: Any) -> Any:
            built.append(kind(*args, **kwargs))
            return built[-1]

        with coco_evaluator(evaluator), contextlib.redirect_stdout(io.StringIO()):
            metrics = super().compute_metrics(results)
        if "bbox" in self.metrics and not self.format_only:
            by_class = next(
                evaluation
                for evaluation in reversed(built)
                if evaluation.params.useCats
            )
            self.breakdown = coco_breakdown(
                by_class, tuple(self.dataset_meta["classes"])
            )
        return metrics

    def _category_ids(self) -> list[int]:
        """Ids of the file's categories in the order of the predicted labels.

        Raises:
            ValueError: the file lacks a class; names both lists.
        """
        id_of = {c["name"]: c["id"] for c in self._coco_api.dataset["categories"]}
        classes = match_classes(
            self.dataset_meta["classes"], tuple(id_of), "the model", "the truth"
        )
        return [id_of[name] for name in classes]

    @property
    def use_fast(self) -> bool:
        """Whether faster-coco-eval is wanted and installed."""
        return self.fast and FastCOCOeval is not None

    def _tell_which(self) -> None:
        if self._told:
            return
        self._told = True
        if self.fast and FastCOCOeval is None:
            MMLogger.get_current_instance().info(
                "faster-coco-eval is not installed: COCO metrics are computed with "
                "pycocotools (same numbers, slower)."
            )


def _ignore_difficult(document: CocoDocument) -> None:
    """Let pycocotools ignore difficult objects, in place.

    It ignores objects whose area lies outside the range it looks at, and matches them
    by IoU as usual; crowds, which it ignores too, would match by another measure.
    """
    for annotation in document["annotations"]:
        if annotation.get("difficult"):
            annotation["area"] = BEYOND_ALL_AREAS
