"""Detectors and what they are built from; importing registers them."""

from ssod_mm.models.assigners import IgnoringMaxIoUAssigner
from ssod_mm.models.class_balance import ClassBalance
from ssod_mm.models.detectors import (
    CertaintyTeacher,
    DenseGuidanceTeacher,
    EnsembleDetector,
    LerPrcTeacher,
    MeanTeacher,
    SemiTrainConfig,
)
from ssod_mm.models.heads import FocalRoILoss, GaussianBBoxHead, IntervalBBoxHead
from ssod_mm.models.preprocessor import BranchDataPreprocessor

__all__ = [
    "BranchDataPreprocessor",
    "CertaintyTeacher",
    "ClassBalance",
    "DenseGuidanceTeacher",
    "EnsembleDetector",
    "FocalRoILoss",
    "GaussianBBoxHead",
    "IgnoringMaxIoUAssigner",
    "IntervalBBoxHead",
    "LerPrcTeacher",
    "MeanTeacher",
    "SemiTrainConfig",
]
