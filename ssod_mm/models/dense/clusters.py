"""What the teacher's NMS says about one stage, in one frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.models.dense.settings import DenseStage


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
    is_rest = clusters < 0
    rows_by_kind = is_rest.byte().argsort(stable=True)
    num_rest = int(is_rest.sum())
    clustered, rest = rows_by_kind.split([len(clusters) - num_rest, num_rest])
    place = torch.empty_like(clusters)
    place[clustered] = torch.arange(len(clustered), device=clustered.device)
    flat = images * num_rows + rows
    return Clusters(
        images=images[clustered],
        rows=flat[clustered],
        labels=labels[clustered],
        scores=scores[clustered],
        priors=priors[clustered],
        boxes=boxes[clustered],
        clusters=clusters[clustered],
        kept_boxes=boxes[kept],
        kept=place[kept],
        alive=torch.ones_like(kept, dtype=torch.bool),
        unsure_rows=flat[rest],
        unsure_images=images[rest],
        unsure_priors=priors[rest],
    )


def kept_instances(candidates: Clusters, num_images: int) -> list[InstanceData]:
    """Kept boxes of each image as detections, by falling score.

    Args:
        candidates: clusters of a stage.
        num_images: images of the batch.

    Returns:
        Per image ``bboxes``, ``scores`` and ``labels``.
    """
    kept = InstanceData(
        bboxes=candidates.kept_boxes, scores=candidates.scores[candidates.kept]
    )
    kept.labels = candidates.labels[candidates.kept]
    return split_by_image(kept, candidates.images[candidates.kept], num_images)


def split_by_image(
    instances: InstanceData, images: Tensor, num_images: int
) -> list[InstanceData]:
    """Instances of each image, in their order.

    Args:
        instances: M of them.
        images: (M,) image of each.
        num_images: images of the batch.
    """
    ordered = instances[images.argsort(stable=True)]
    numbers = torch.arange(num_images, device=images.device)
    ends = (images <= numbers[:, None]).sum(1).tolist()
    starts = [0, *ends[:-1]]
    return [ordered[start:end] for start, end in zip(starts, ends, strict=True)]
