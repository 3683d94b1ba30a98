"""Metrics of detections and of pseudo labels; importing registers them."""

import ssod_mm.mmdet_datasets  # noqa: F401  (first: it silences mmdet)
from ssod_mm.evaluation.coco_metric import FastCocoMetric
from ssod_mm.evaluation.voc07_metric import Voc07Metric

__all__ = ["FastCocoMetric", "Voc07Metric"]
