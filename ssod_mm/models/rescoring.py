"""The teacher's opinion of the student's candidates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from mmdet.structures import SampleList
from torch import Tensor, nn

from ssod_mm.maths.boxes import box_areas, clip_boxes, hull_growth, warp_boxes
from ssod_mm.maths.reweighting import masked_mean
from ssod_mm.models.features import Features
from ssod_mm.models.geometry import student_from_teacher
from ssod_mm.models.mixed_views import MixedViews
from ssod_mm.structures import PseudoBoxes

_MIN_AREA_PX = 1.0


@dataclass(frozen=True)
class RescorableBoxes(PseudoBoxes):
    """Pseudo boxes with what the teacher needs to judge further boxes of its views.

    Lives for one step: it holds feature maps.

    Attributes:
        features: the teacher's feature maps of the weak views, without gradient.
        samples_weak: data samples of the weak views.
        mixed: where the strong views are in the images that the boxes lie in; None
            where these are the strong views.
    """

    features: Features = ()
    samples_weak: SampleList = ()
    mixed: MixedViews | None = None

    def replace(
        self, boxes: PseudoBoxes, mixed: MixedViews | None = None
    ) -> RescorableBoxes:
        """Other boxes with the same weak views."""
        return RescorableBoxes(
            boxes.instances, boxes.ignored, self.features, self.samples_weak, mixed
        )

    def bare(self) -> PseudoBoxes:
        """The boxes alone."""
        return PseudoBoxes(self.instances, self.ignored)


def teacher_rois(
    rois: Tensor,
    weak: SampleList,
    strong: SampleList,
    hull: str = "corners",
    growth_thr: float = 1.5,
) -> tuple[Tensor, dict[str, Tensor]]:
    """RoIs of the student's views in the teacher's views of the same images.

    Args:
        rois: (P, 5), image index and xyxy in strong-view pixels.
        weak: data samples of the teacher's views.
        strong: data samples of the student's views, in the same image order.
        hull: box around a rotated RoI, see :func:`~ssod_mm.maths.boxes.warp_boxes`.
        growth_thr: hulls that grow by more are counted.

    Returns:
        (P, 5) in weak-view pixels, clipped, float32; and ``hull_growth``, how many
        times larger the hulls are than what they enclose, on average, and
        ``hull_grown``, the share beyond ``growth_thr``.
    """
    image = rois[:, 0].long()
    boxes = rois[:, 1:].float()
    matrices = student_from_teacher(strong, weak).to(rois.device)[image]
    sizes = torch.tensor([s.img_shape[:2] for s in weak], device=rois.device)[image]
    moved = clip_boxes(warp_boxes(boxes, matrices, hull), sizes)
    growth = hull_growth(boxes, matrices, hull)
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


def probabilities(head: nn.Module, cls_score: Tensor) -> Tensor:
    """Class probabilities of a box head's logits, by the activation of its loss.

    Args:
        head: an mmdet box head.
        cls_score: (P, K) logits.

    Returns:
        (P, K), with a background column where the loss is a softmax one.
    """
    if head.custom_activation:
        return head.loss_cls.get_activation(cls_score)
    if getattr(head.loss_cls, "use_sigmoid", False):
        return cls_score.sigmoid()
    return cls_score.softmax(dim=-1)
