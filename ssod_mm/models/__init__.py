"""Detectors and what they are built from; importing registers them."""

from ssod_mm.models.assigners import IgnoringATSSAssigner, IgnoringMaxIoUAssigner
from ssod_mm.models.class_balance import ClassBalance
from ssod_mm.models.detectors import (
    CertaintyTeacher,
    DenseGuidanceTeacher,
    EnsembleDetector,
    LerPrcTeacher,
    MeanTeacher,
    SemiTrainConfig,
)
from ssod_mm.models.heads import (
    FocalRoILoss,
    GaussianBBoxHead,
    IntervalBBoxHead,
    LocQualityGFLHead,
)
from ssod_mm.models.preprocessor import BranchDataPreprocessor

__all__ = [
    "BranchDataPreprocessor",
    "CertaintyTeacher",
    "ClassBalance",
    "DenseGuidanceTeacher",
    "EnsembleDetector",
    "FocalRoILoss",
    "GaussianBBoxHead",
    "IgnoringATSSAssigner",
    "IgnoringMaxIoUAssigner",
    "IntervalBBoxHead",
    "LerPrcTeacher",
    "LocQualityGFLHead",
    "MeanTeacher",
    "SemiTrainConfig",
]
