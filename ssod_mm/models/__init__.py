"""Detectors and what they are built from; importing registers them."""

from ssod_mm.models.assigners import IgnoringMaxIoUAssigner
from ssod_mm.models.class_balance import ClassBalance
from ssod_mm.models.detectors import (
    CertaintyTeacher,
    EnsembleDetector,
    LerPrcTeacher,
    MeanTeacher,
    SemiTrainConfig,
)
from ssod_mm.models.heads import GaussianBBoxHead, IntervalBBoxHead

__all__ = [
    "CertaintyTeacher",
    "ClassBalance",
    "EnsembleDetector",
    "GaussianBBoxHead",
    "IgnoringMaxIoUAssigner",
    "IntervalBBoxHead",
    "LerPrcTeacher",
    "MeanTeacher",
    "SemiTrainConfig",
]
