"""The teacher's opinion of the student's candidates."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from mmdet.structures import SampleList
from torch import Tensor, nn

from ssod_mm.maths.boxes import box_areas, hull_growth
from ssod_mm.maths.reweighting import masked_mean
from ssod_mm.models.features import Features
from ssod_mm.models.geometry import Findings, ViewMap
from ssod_mm.models.heads.answers import probabilities
from ssod_mm.models.mixed_views import MixedViews

_MIN_AREA_PX = 1.0


@dataclass(frozen=True)
class WeakViews(Findings):
    """What the teacher needs to judge further boxes of its views.

    Lives for one step: it holds feature maps.

    Attributes:
        features: the teacher's feature maps of the weak views, without gradient.
        samples: data samples of the weak views.
        mixed: where the strong views are in the images that the student learns from;
            None where it learns from the strong views themselves.
    """

    features: Features
    samples: SampleList
    mixed: MixedViews | None = None

    def to_mixed_views(
        self, mixed: MixedViews, min_box_wh: tuple[float, float]
    ) -> WeakViews:
        """The same, and by which images the student's candidates find their views."""
        return replace(self, mixed=mixed)

    def rois(
        self,
        rois: Tensor,
        strong: SampleList,
        hull: str,
        growth_thr: float,
        figures: bool = True,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The student's RoIs in the weak views, see :func:`teacher_rois`.

        Args:
            rois: (P, 5), in pixels of the images that the student learns from.
            strong: their data samples.
            hull: see :func:`teacher_rois`.
            growth_thr: see :func:`teacher_rois`.
            figures: see :func:`teacher_rois`.
        """
        if self.mixed is not None:
            rois, strong = self.mixed.views_of(rois), self.mixed.views
        return teacher_rois(rois, self.samples, strong, hull, growth_thr, figures)


def teacher_rois(
    rois: Tensor,
    weak: SampleList,
    strong: SampleList,
    hull: str = "corners",
    growth_thr: float = 1.5,
    figures: bool = True,
) -> tuple[Tensor, dict[str, Tensor]]:
    """RoIs of the student's views in the teacher's views of the same images.

    Args:
        rois: (P, 5), image index and xyxy in strong-view pixels.
        weak: data samples of the teacher's views.
        strong: data samples of the student's views, in the same image order.
        hull: box around a rotated RoI, see :func:`~ssod_mm.maths.boxes.warp_boxes`.
        growth_thr: hulls that grow by more are counted.
        figures: whether the figures are wanted.

    Returns:
        (P, 5) in weak-view pixels, clipped, float32; and, if wanted, ``hull_growth``,
        how many times larger the hulls are than what they enclose, on average, and
        ``hull_grown``, the share beyond ``growth_thr``.
    """
    image = rois[:, 0].long()
    boxes = rois[:, 1:].float()
    views = ViewMap(strong, weak, rois.device, hull=hull)
    moved = views.clipped(boxes, image)
    stats = {}
    if figures:
        growth = hull_growth(boxes, views.matrices[image], hull)
        counted = box_areas(boxes) >= _MIN_AREA_PX
        stats = {
            "hull_growth": masked_mean(growth, counted),
            "hull_grown": masked_mean(growth > growth_thr, counted),
        }
    return torch.cat([rois[:, :1].float(), moved], dim=1), stats


@torch.no_grad()
def rescore(
    roi_head: nn.Module, stage: int, features: Features, rois: Tensor
) -> tuple[Tensor, Tensor]:
    """What an RoI head says of given RoIs, in one call.

    Args:
        roi_head: a standard or cascade RoI head in eval mode.
        stage: cascade stage; 0 for a standard head.
        features: feature maps of the images.
        rois: (P, 5), image index and xyxy.

    Returns:
        Probabilities (P, K) float32, and the box branch's output.
    """
    if isinstance(roi_head.bbox_head, nn.ModuleList):
        head = roi_head.bbox_head[stage]
        out = roi_head._bbox_forward(stage, features, rois)
    else:
        head = roi_head.bbox_head
        out = roi_head._bbox_forward(features, rois)
    return probabilities(head, out["cls_score"].float()), out["bbox_pred"]
