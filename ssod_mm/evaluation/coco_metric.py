"""COCO average precision with the fast evaluator where it is installed."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np
from mmdet.evaluation.metrics import coco_metric
from mmdet.evaluation.metrics.coco_metric import CocoMetric
from mmdet.registry import METRICS
from mmengine.logging import MMLogger

try:
    from faster_coco_eval import COCOeval_faster as FastCOCOeval
except ImportError:
    FastCOCOeval = None

BOX_ITEMS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
RECALL_ITEMS = ("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000")


@contextlib.contextmanager
def coco_evaluator(evaluator: type) -> Iterator[None]:
    """Let mmdet's ``CocoMetric`` evaluate with another ``COCOeval`` class meanwhile."""
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
    ``save_best`` then fails), and the evaluator's tables are not printed.

    Args:
        fast: use faster-coco-eval when it is installed.
        **kwargs: as in mmdet's ``CocoMetric``.
    """

    def __init__(self, fast: bool = True, **kwargs: Any) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            super().__init__(**kwargs)
        self.iou_thrs = np.atleast_1d(np.asarray(self.iou_thrs, dtype=float))
        self.fast = fast
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
        if not self.format_only and not any(len(pred["labels"]) for _, pred in results):
            MMLogger.get_current_instance().warning(
                "Nothing was detected on any image: the results are zeros."
            )
            return {name: 0.0 for name in self.result_names if "*" not in name}
        self._tell_which()
        evaluator = FastCOCOeval if self.use_fast else coco_metric.COCOeval
        with coco_evaluator(evaluator), contextlib.redirect_stdout(io.StringIO()):
            return super().compute_metrics(results)

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
