"""Semi-supervised detectors, one file per method."""

from ssod_mm.models.detectors.mean_teacher import MeanTeacher
from ssod_mm.models.detectors.semi_settings import SemiTrainConfig

__all__ = ["MeanTeacher", "SemiTrainConfig"]
