"""Box heads that know how well their boxes are placed; importing registers them."""

from ssod_mm.models.heads.quality import (
    SCORE_FACTORS,
    LocQualityHead,
    ranking_scores,
    with_quality,
)

__all__ = ["SCORE_FACTORS", "LocQualityHead", "ranking_scores", "with_quality"]
