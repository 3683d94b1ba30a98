"""Semi-supervised detectors, one file per method."""

from ssod_mm.models.detectors.mean_teacher import MeanTeacher, SemiTrainConfig

__all__ = ["MeanTeacher", "SemiTrainConfig"]
