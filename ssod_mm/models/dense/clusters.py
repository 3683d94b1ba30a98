"""What the teacher's NMS says about one stage, in one frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.maths.boxes import are_large
from ssod_mm.models.dense.mixing import mixed_guidance
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.geometry import Findings, ViewMap
from ssod_mm.models.mixed_views import MixedViews


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
class DenseGuidance(Findings):
    """What the teacher's NMS says, beside the kept boxes of the last stage.

    Attributes:
        stages: clusters of each dense stage.
        proposals: (P, 4) RoIs of the R-CNN stage, all images; None in one-stage ones.
        proposal_images: (P,) their images.
        proposals_seen: (P,) whether they are visible in the frame.
    """

    stages: dict[str, Clusters]
    proposals: Tensor | None = None
    proposal_images: Tensor | None = None
    proposals_seen: Tensor | None = None

    def to_student_view(self, views: ViewMap) -> DenseGuidance:
        """The same clusters; those whose kept box is not visible are marked."""
        stages = {k: clusters_in(views, found) for k, found in self.stages.items()}
        proposals, seen = self.proposals, None
        if proposals is not None:
            proposals, seen = views(proposals, self.proposal_images)
        return replace(self, stages=stages, proposals=proposals, proposals_seen=seen)

    def to_mixed_views(
        self, mixed: MixedViews, min_box_wh: tuple[float, float]
    ) -> DenseGuidance:
        """The same in mosaics, see :func:`mixed_guidance`."""
        return mixed_guidance(self, mixed, min_box_wh)


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
        Per image ``bboxes``, ``scores`` and ``labels``.
    """
    kept = InstanceData(bboxes=found.kept_boxes, scores=found.scores[found.kept])
    kept.labels = found.labels[found.kept]
    images = found.images[found.kept]
    return [kept[images == number] for number in range(num_images)]


def clusters_in(views: ViewMap, found: Clusters) -> Clusters:
    """Clusters in other views; ``alive`` says what is left of them.

    Args:
        views: the map from the clusters' views to the others.
        found: the clusters.
    """
    images = found.images
    kept, alive = views(found.kept_boxes, images[found.kept])
    boxes = views.clipped(found.boxes, images)
    is_large = are_large(boxes, views.min_box_wh)[:, None]
    all_priors = found.all_priors
    if all_priors is not None:
        numbers = torch.arange(len(all_priors), device=all_priors.device)
        flat = numbers.repeat_interleave(all_priors.shape[1])
        mapped = views.unclipped(all_priors.flatten(0, 1), flat)
        all_priors = mapped.reshape(all_priors.shape)
    return replace(
        found,
        priors=views.unclipped(found.priors, images),
        boxes=torch.where(is_large, boxes, kept[found.clusters]),
        kept_boxes=kept,
        alive=alive,
        unsure_priors=views.unclipped(found.unsure_priors, found.unsure_images),
        all_priors=all_priors,
    )
