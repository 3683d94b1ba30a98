"""What the teacher's NMS says about one stage, in one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ssod_mm.maths.clustering import check_iou_thr, clusters_in_parts
from ssod_mm.models.dense.settings import DenseStage


@dataclass(frozen=True)
class Candidates:
    """What the teacher finds in a stage over a batch, before its NMS.

    Legend: L priors with a class that are candidates or unsure.

    Attributes:
        images: (L,) their images, int64.
        rows: (L,) place of the prior among the teacher's priors of the batch, int64.
        labels: (L,) classes, int64.
        scores: (L,) the teacher's probability of the class.
        ranks: (L,) what ranks the candidates, at least 0; negative for unsure ones.
        priors: (L, 4) the priors, xyxy in pixels of the frame.
        boxes: (L, 4) the teacher's regressed boxes.
        groups: (L,) int64, at least 0: NMS keeps different groups apart.
        iou_thr: threshold of NMS.
    """

    images: Tensor
    rows: Tensor
    labels: Tensor
    scores: Tensor
    ranks: Tensor
    priors: Tensor
    boxes: Tensor
    groups: Tensor
    iou_thr: float


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
        kept: (K,) the kept candidates' places among the M, image after image and each
            by falling rank.
        alive: (K,) whether the kept box is visible in the frame.
        unsure_rows: (U,) rows of the priors that teach nothing.
        unsure_images: (U,) their images.
        unsure_priors: (U, 4) the priors themselves.
        kept_counts: kept boxes of each image of the teacher's batch.
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
    kept_counts: Sequence[int] = ()
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


def clusters_of(
    stages: Mapping[str, Candidates], num_images: int
) -> dict[str, Clusters]:
    """Clusters of all stages, from one search; what is in none is unsure.

    Args:
        stages: candidates of each stage, in the weak views.
        num_images: images of the batch.

    Raises:
        ValueError: if a threshold of NMS is out of range.
    """
    floats, ints = [], []
    for number, stage in enumerate(stages.values()):
        check_iou_thr(stage.iou_thr)
        numbers = torch.stack([stage.scores, stage.ranks], dim=1)
        floats.append(torch.cat([stage.boxes, stage.priors, numbers], dim=1))
        parts = stage.images + number * num_images
        columns = [stage.images, stage.rows, stage.labels, parts]
        ints.append(torch.stack([*columns, stage.groups * len(stages) + number]))
    floats_L10, ints_5L = torch.cat(floats), torch.cat(ints, dim=1)
    ranks_L, counts = floats_L10[:, 9], [len(rows) for rows in floats]
    thr_L = torch.cat(
        [
            ranks_L.new_full((count,), stage.iou_thr)
            for count, stage in zip(counts, stages.values(), strict=True)
        ]
    )
    kept_K, cluster_L, kept, candidates = clusters_in_parts(
        floats_L10[:, :4],
        ranks_L,
        ints_5L[4],
        thr_L,
        ranks_L >= 0,
        ints_5L[3],
        len(stages) * num_images,
    )
    # What is in a cluster first, stage after stage; then what is in none.
    order_L = (cluster_L < 0).byte().argsort(stable=True)
    place_K = order_L.argsort()[kept_K]
    floats_L10, ints_5L = floats_L10[order_L], ints_5L[:, order_L]
    kept_boxes, cluster_L = floats_L10[place_K, :4], cluster_L[order_L]
    parts, start, unsure_start, first = {}, 0, sum(candidates), 0
    for number, (name, count) in enumerate(zip(stages, counts, strict=True)):
        images = slice(number * num_images, (number + 1) * num_images)
        end, last = start + sum(candidates[images]), first + sum(kept[images])
        unsure_end = unsure_start + count - (end - start)
        unsure = slice(unsure_start, unsure_end)
        parts[name] = Clusters(
            images=ints_5L[0, start:end],
            rows=ints_5L[1, start:end],
            labels=ints_5L[2, start:end],
            scores=floats_L10[start:end, 8],
            priors=floats_L10[start:end, 4:8],
            boxes=floats_L10[start:end, :4],
            clusters=cluster_L[start:end] - first,
            kept_boxes=kept_boxes[first:last],
            kept=place_K[first:last] - start,
            alive=torch.ones_like(place_K[first:last], dtype=torch.bool),
            unsure_rows=ints_5L[1, unsure],
            unsure_images=ints_5L[0, unsure],
            unsure_priors=floats_L10[unsure, 4:8],
            kept_counts=kept[images],
        )
        start, first, unsure_start = end, last, unsure_end
    return parts
