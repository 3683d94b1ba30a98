"""Semi-supervised detectors, one file per method."""

from ssod_mm.models.detectors.certainty import CertaintyTeacher
from ssod_mm.models.detectors.dtg import DenseGuidanceTeacher
from ssod_mm.models.detectors.ensemble import EnsembleDetector
from ssod_mm.models.detectors.lerprc import LerPrcTeacher
from ssod_mm.models.detectors.mean_teacher import MeanTeacher
from ssod_mm.models.detectors.semi_settings import SemiTrainConfig

__all__ = [
    "CertaintyTeacher",
    "DenseGuidanceTeacher",
    "EnsembleDetector",
    "LerPrcTeacher",
    "MeanTeacher",
    "SemiTrainConfig",
]
