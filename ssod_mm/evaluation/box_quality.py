"""Does a box's score, or its localisation quality, tell how well it is placed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.structures.bbox import bbox_overlaps
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.maths.correlation import pearson, spearman
from ssod_mm.structures import class_probabilities


@dataclass(frozen=True)
class BoxQuality:
    """Detections of many images, each with its IoU and the detector's scores.

    Attributes:
        ious: (N,) largest IoU with a true box of the same class and image; 0 where
            there is none.
        cls_scores: (N,) class probabilities p.
        loc_scores: (N,) localisation qualities v.
    """

    ious: Tensor
    cls_scores: Tensor
    loc_scores: Tensor

    def __len__(self) -> int:
        """Number of boxes."""
        return len(self.ious)

    @property
    def measures(self) -> dict[str, Tensor]:
        """What could tell the IoU, by name: p, v and their product."""
        return {
            "p": self.cls_scores,
            "v": self.loc_scores,
            "p*v": self.cls_scores * self.loc_scores,
        }

    def above(self, score_thr: float) -> BoxQuality:
        """Boxes with a class probability of at least ``score_thr``."""
        kept = self.cls_scores >= score_thr
        return BoxQuality(self.ious[kept], self.cls_scores[kept], self.loc_scores[kept])

    def correlations(self) -> dict[str, tuple[float, float]]:
        """Pearson's and Spearman's correlation of the IoU with each measure."""
        return {
            name: (
                float(pearson(values, self.ious)),
                float(spearman(values, self.ious)),
            )
            for name, values in self.measures.items()
        }

    @classmethod
    def joined(cls, parts: Sequence[BoxQuality]) -> BoxQuality:
        """All boxes of several collections."""
        empty = torch.zeros(0)
        return cls(
            torch.cat([empty, *(part.ious for part in parts)]),
            torch.cat([empty, *(part.cls_scores for part in parts)]),
            torch.cat([empty, *(part.loc_scores for part in parts)]),
        )


def box_quality(detections: InstanceData, truth: InstanceData) -> BoxQuality:
    """Compare the detections of one image with its truth.

    Detections whose best true box is an ignored one (a crowd, a box marked difficult)
    are left out.

    Args:
        detections: ``bboxes`` (N, 4) xyxy, ``labels``, ``scores``, ``loc_scores`` and,
            where a head ranks by more than p, ``cls_scores``.
        truth: ``bboxes`` (M, 4) xyxy in the same pixels, ``labels`` and optionally
            ``ignored``.

    Returns:
        The boxes that count.

    Raises:
        ValueError: the detections have no ``loc_scores``.
    """
    if "loc_scores" not in detections:
        raise UserError(
            "the detector's boxes have no loc_scores: its box head knows no "
            "localisation quality. GaussianBBoxHead, IntervalBBoxHead and "
            "LocQualityGFLHead do."
        )
    cls_scores = class_probabilities(detections).float()
    if len(truth.labels) == 0 or len(detections.labels) == 0:
        return BoxQuality(
            torch.zeros(len(detections.labels)),
            cls_scores,
            detections.loc_scores.float(),
        )
    ious = bbox_overlaps(detections.bboxes.float(), truth.bboxes.float())
    ious = ious.masked_fill(detections.labels[:, None] != truth.labels, 0.0)
    best, which = ious.max(dim=1)
    ignored = truth.get("ignored", torch.zeros_like(truth.labels)).bool()
    counts = ~(ignored[which] & (best > 0))
    return BoxQuality(
        best[counts], cls_scores[counts], detections.loc_scores.float()[counts]
    )
