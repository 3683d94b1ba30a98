"""What the teacher's NMS says about one stage, in one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.maths.boxes import clip_boxes, visible_fractions, warp_boxes
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.geometry import padded_patches, student_from_teacher
from ssod_mm.structures import PseudoBoxes

if TYPE_CHECKING:
    from ssod_mm.models.detectors.semi_settings import SemiTrainConfig


@dataclass(frozen=True)
class Clusters:
    """Candidates of one stage over a batch, and the clusters that NMS made of them.

    A candidate is a prior (an RoI or an anchor) with a class whose score reaches tau,
    as in mmdet's NMS: a prior may be a candidate of several classes. Legend: M
    candidates, K clusters, U unsure priors.

    Attributes:
        images: (M,) image of each candidate, int64.
        rows: (M,) its prior's place among the teacher's priors of the batch, int64.
        labels: (M,) its class, int64.
        scores: (M,) the teacher's probability of the class.
        priors: (M, 4) its prior, xyxy in pixels of the frame.
        boxes: (M, 4) the teacher's regressed box; in a frame where too little of it
            is left to be learnt, the kept box.
        clusters: (M,) its cluster, int64 in [0, K).
        kept_boxes: (K, 4) kept boxes.
        kept: (K,) the kept candidates' places among the M.
        alive: (K,) whether the kept box is visible in the frame.
        unsure_rows: (U,) rows of the priors that teach nothing.
        unsure_images: (U,) their images.
        unsure_priors: (U, 4) the priors themselves.
        all_priors: (B, N, 4) all anchors of each image, for the background of stages
            whose priors differ between the views; None elsewhere.
        clear: (B, N) whether the teacher finds nothing there.
        prior_images: (B,) the image that ``all_priors`` lie in; None where these are
            the images in their order.
    """

    images: Tensor
    rows: Tensor
    labels: Tensor
    scores: Tensor
    priors: Tensor
    boxes: Tensor
    clusters: Tensor
    kept_boxes: Tensor
    kept: Tensor
    alive: Tensor
    unsure_rows: Tensor
    unsure_images: Tensor
    unsure_priors: Tensor
    all_priors: Tensor | None = None
    clear: Tensor | None = None
    prior_images: Tensor | None = None

    def __len__(self) -> int:
        """Number of clusters."""
        return len(self.kept)


@dataclass(frozen=True)
class DenseGuidance(PseudoBoxes):
    """Dense guidance; as pseudo boxes, what the last stage's NMS kept.

    Attributes:
        stages: clusters of each dense stage.
        proposals: (P, 4) RoIs of the R-CNN stage, all images; None in one-stage ones.
        proposal_images: (P,) their images.
        proposals_seen: (P,) whether they are visible in the frame.
    """

    stages: dict[str, Clusters] | None = None
    proposals: Tensor | None = None
    proposal_images: Tensor | None = None
    proposals_seen: Tensor | None = None


def class_floors(
    stage: DenseStage, num_classes: int, taus_C: Tensor | None, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Thresholds of candidates (C,), and least scores that are looked at (C,)."""
    if taus_C is None:
        taus_C = like.new_full((num_classes,), stage.tau)
    taus_C = taus_C.to(like)
    if stage.ignore_thr is None:
        return taus_C, taus_C
    return taus_C, taus_C.clamp(max=stage.ignore_thr)


def gathered(
    kept: Tensor,
    clusters: Tensor,
    images: Tensor,
    rows: Tensor,
    labels: Tensor,
    scores: Tensor,
    priors: Tensor,
    boxes: Tensor,
    num_rows: int,
) -> Clusters:
    """Clusters from the result of NMS; what is in none is unsure.

    Args:
        kept: (K,) kept candidates.
        clusters: (L,) cluster of each candidate looked at, or -1.
        images: (L,) their images.
        rows: (L,) their priors' rows in the image, or with ``num_rows=0`` in the batch.
        labels: (L,) their classes.
        scores: (L,) their class probabilities.
        priors: (L, 4) their priors.
        boxes: (L, 4) their regressed boxes.
        num_rows: priors of an image.
    """
    mine = (clusters >= 0).nonzero(as_tuple=True)[0]
    rest = (clusters < 0).nonzero(as_tuple=True)[0]
    place = torch.empty_like(clusters)
    place[mine] = torch.arange(len(mine), device=mine.device)
    flat = images * num_rows + rows
    return Clusters(
        images=images[mine],
        rows=flat[mine],
        labels=labels[mine],
        scores=scores[mine],
        priors=priors[mine],
        boxes=boxes[mine],
        clusters=clusters[mine],
        kept_boxes=boxes[kept],
        kept=place[kept],
        alive=torch.ones_like(kept, dtype=torch.bool),
        unsure_rows=flat[rest],
        unsure_images=images[rest],
        unsure_priors=priors[rest],
    )


def kept_instances(found: Clusters, num_images: int) -> list[InstanceData]:
    """Kept boxes of each image as detections, by falling score.

    Args:
        found: clusters of a stage.
        num_images: images of the batch.

    Returns:
        Per image ``bboxes``, ``scores``, ``labels`` and ``cluster``.
    """
    made = InstanceData(bboxes=found.kept_boxes, scores=found.scores[found.kept])
    made.labels = found.labels[found.kept]
    made.cluster = torch.arange(len(found), device=found.kept.device)
    images = found.images[found.kept]
    return [made[images == number] for number in range(num_images)]


class ViewMap:
    """Boxes of a batch's weak views, mapped to the strong views.

    Args:
        weak: data samples of the teacher's views.
        strong: data samples of the student's views, in the same image order.
        settings: which boxes count as visible, and the hull of a rotated one.
        device: where the boxes are.
    """

    def __init__(
        self,
        weak: SampleList,
        strong: SampleList,
        settings: SemiTrainConfig,
        device: torch.device,
    ) -> None:
        self.matrices = student_from_teacher(weak, strong).to(device)
        shapes = [sample.img_shape[:2] for sample in strong]
        self.sizes = torch.tensor(shapes, device=device)
        self.patches = padded_patches(strong).to(device)
        self.settings = settings

    def unclipped(self, boxes_N4: Tensor, images_N: Tensor) -> Tensor:
        """Mapped boxes (N, 4), also where they leave the view."""
        return warp_boxes(boxes_N4, self.matrices[images_N], self.settings.box_hull)

    def __call__(self, boxes_N4: Tensor, images_N: Tensor) -> tuple[Tensor, Tensor]:
        """Mapped and clipped boxes (N, 4), and whether each is visible (N,)."""
        mapped = self.unclipped(boxes_N4, images_N)
        sizes = self.sizes[images_N]
        share = visible_fractions(mapped, sizes, self.patches[images_N])
        clipped = clip_boxes(mapped, sizes)
        return clipped, self._is_large(clipped) & (share >= self.settings.min_visible)

    def _is_large(self, boxes_N4: Tensor) -> Tensor:
        """Whether boxes reach ``min_box_wh`` and have an area (N,)."""
        sides = boxes_N4[:, 2:] - boxes_N4[:, :2]
        least = sides.new_tensor(self.settings.min_box_wh)
        return ((sides >= least) & (sides > 0)).all(1)

    def clusters(self, found: Clusters) -> Clusters:
        """The clusters in the strong views; ``alive`` says what is left of them."""
        images = found.images
        kept, alive = self(found.kept_boxes, images[found.kept])
        boxes = clip_boxes(self.unclipped(found.boxes, images), self.sizes[images])
        large = self._is_large(boxes)[:, None]
        all_priors = found.all_priors
        if all_priors is not None:
            numbers = torch.arange(len(all_priors), device=all_priors.device)
            flat = numbers.repeat_interleave(all_priors.shape[1])
            mapped = self.unclipped(all_priors.flatten(0, 1), flat)
            all_priors = mapped.reshape(all_priors.shape)
        return replace(
            found,
            priors=self.unclipped(found.priors, images),
            boxes=torch.where(large, boxes, kept[found.clusters]),
            kept_boxes=kept,
            alive=alive,
            unsure_priors=self.unclipped(found.unsure_priors, found.unsure_images),
            all_priors=all_priors,
        )
