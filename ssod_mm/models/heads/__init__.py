"""Box heads that know how well their boxes are placed; importing registers them."""

from ssod_mm.models.heads.focal import FocalRoILoss, PriorLinear
from ssod_mm.models.heads.gaussian_bbox_head import GaussianBBoxHead, GaussianLinear
from ssod_mm.models.heads.gfl_head import LocQualityGFLHead
from ssod_mm.models.heads.interval_bbox_head import IntervalBBoxCoder, IntervalBBoxHead
from ssod_mm.models.heads.quality import (
    SCORE_FACTORS,
    LocQualityHead,
    ranking_scores,
)

__all__ = [
    "SCORE_FACTORS",
    "FocalRoILoss",
    "GaussianBBoxHead",
    "GaussianLinear",
    "IntervalBBoxCoder",
    "IntervalBBoxHead",
    "LocQualityGFLHead",
    "LocQualityHead",
    "PriorLinear",
    "ranking_scores",
]
