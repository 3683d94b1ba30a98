"""Detectors and what they are built from; importing registers them."""

from ssod_mm.models.assigners import IgnoringMaxIoUAssigner
from ssod_mm.models.class_balance import ClassBalance
from ssod_mm.models.detectors import MeanTeacher, SemiTrainConfig
from ssod_mm.models.heads import IntervalBBoxHead

__all__ = [
    "ClassBalance",
    "IgnoringMaxIoUAssigner",
    "IntervalBBoxHead",
    "MeanTeacher",
    "SemiTrainConfig",
]
