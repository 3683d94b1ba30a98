"""Targets of the student's candidates of one stage, and the losses on them.

DTG-SSOD, equations 2-6, with :mod:`ssod_mm.maths.ranking` for the means over clusters
and for rank matching; and how these targets differ from those of label assignment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from ssod_mm.maths.clustering import pairwise_iou
from ssod_mm.maths.ranking import (
    candidate_shares,
    cluster_sizes,
    mean_over_clusters,
    rank_agreement,
    rank_matching,
)
from ssod_mm.models.dense.clusters import Clusters
from ssod_mm.models.dense.guidance import DenseGuidance
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.heads.focal import focal_rows

_MAX_PAIRS = 2**22

# (candidates' rows, their priors' target boxes, labels) -> box loss of each candidate
BoxLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Targets:
    """Targets of a stage of the student: M candidates among its R priors.

    Attributes:
        rows: (M,) prior of each candidate, int64 in [0, R).
        labels: (M,) class to predict.
        scores: (M,) the teacher's probability of it.
        clusters: (M,) cluster, int64 in [0, K).
        boxes: (M, 4) box to predict, in strong-view pixels.
        num_clusters: K.
        background: (R,) whether a prior is background.
        background_counts: (R,) how many background priors each stands for where they
            are a sample; None for one each.
    """

    rows: Tensor
    labels: Tensor
    scores: Tensor
    clusters: Tensor
    boxes: Tensor
    num_clusters: int
    background: Tensor
    background_counts: Tensor | None = None


@dataclass(frozen=True)
class Matches:
    """Which of the student's R priors the teacher's M candidates are.

    Attributes:
        candidates: the teacher's clusters, mapped to the strong views.
        rows: (M,) the student's prior of each candidate, int64 in [0, R).
        seen: (M,) whether that prior can be taught.
        background: (R,) whether a prior is background.
    """

    candidates: Clusters
    rows: Tensor
    seen: Tensor
    background: Tensor


def cluster_targets(
    matches: Sequence[Matches], stages: Sequence[DenseStage]
) -> list[Targets]:
    """What the teacher's clusters say about the student's priors, stage by stage.

    A candidate whose kept box is not visible in the strong view teaches nothing. The
    host learns the numbers of the others in one fetch.

    Args:
        matches: of each stage.
        stages: their settings.
    """
    if not matches:
        return []
    taught = [m.candidates.alive[m.candidates.clusters] & m.seen for m in matches]
    counts = torch.stack([taught_M.sum() for taught_M in taught]).tolist()
    targets = []
    for match, stage, taught_M, count in zip(
        matches, stages, taught, counts, strict=True
    ):
        candidates = match.candidates
        chosen = (~taught_M).byte().argsort(stable=True)[:count]
        clusters = candidates.clusters[chosen]
        own_boxes = stage.box_target != "kept"
        targets.append(
            Targets(
                rows=match.rows[chosen],
                labels=candidates.labels[chosen],
                scores=candidates.scores[chosen],
                clusters=clusters,
                boxes=candidates.boxes[chosen]
                if own_boxes
                else candidates.kept_boxes[clusters],
                num_clusters=len(candidates),
                background=match.background,
            )
        )
    return targets


def reduced_counts(counts_3: Tensor) -> Tensor:
    """Clusters, foreground and background priors (3,) in the mean over processes.

    As normalisers they let each cluster weigh the same. Every process has to ask, once
    for each dense stage.
    """
    return reduce_mean(counts_3)


def cluster_losses(
    logits_RC: Tensor,
    outputs_RF: Tensor,
    box_loss: BoxLoss,
    targets: Targets,
    stage: DenseStage,
    focal: tuple[float, float],
    class_weights_C: Tensor | None = None,
    figures: bool = True,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Losses of one stage (equation 6), and statistics for the log.

    Deviation: the paper does not say what divides the background part; see
    ``DenseStage.background_norm``.

    Args:
        logits_RC: the student's class logits of all its priors (R, C).
        outputs_RF: its box outputs (R, F); they stay in the graph.
        box_loss: box loss of candidates, see :data:`BoxLoss`.
        targets: what to learn.
        stage: settings.
        focal: gamma and alpha of the classification loss.
        class_weights_C: factors on the losses of foreground candidates by class.
        figures: whether statistics are wanted.

    Returns:
        ``cls``, ``reg`` and ``rank``, each a scalar in the graph of ``logits_RC``; and
        ``clusters``, ``cluster_size`` and ``rank_agreement``, if wanted.
    """
    logits_RC = logits_RC.float()
    rows, labels, clusters = targets.rows, targets.labels, targets.clusters
    # A one for every class that the prior is a candidate of, so that two clusters of
    # different classes do not push the same prior in opposite directions.
    wanted_RC = torch.zeros_like(logits_RC)
    wanted_RC[rows, labels] = 1.0
    background_R = targets.background_counts
    if background_R is None:
        background_R = targets.background.float()
    sizes_K = cluster_sizes(clusters, targets.num_clusters)
    counts = [(sizes_K > 0).sum(), wanted_RC.amax(1).sum(), background_R.sum()]
    counts = reduced_counts(torch.stack([count.float() for count in counts]))
    num_clusters, foreground, background = counts.unbind()
    num_clusters = num_clusters.clamp(min=1)
    shares_M = candidate_shares(sizes_K, clusters)
    if class_weights_C is not None:
        shares_M = shares_M * class_weights_C[labels]
    divisor = everything = foreground + background
    if stage.background_norm == "foreground":
        divisor = torch.maximum(foreground, stage.min_foreground * everything)
    values_R = focal_rows(logits_RC, wanted_RC, *focal)
    # What each prior counts: as background, and in the means of its clusters.
    factors_R = background_R * (stage.background_weight / divisor.clamp(min=1))
    factors_R = factors_R.index_add(0, rows, shares_M / num_clusters)
    losses = {"cls": stage.cls_weight * (values_R * factors_R).sum()}
    if stage.box_target == "none" or len(rows) == 0:
        losses["reg"] = (logits_RC.sum() + outputs_RF.sum()) * 0.0
    else:
        values_M = box_loss(rows, targets.boxes, labels)
        mean = mean_over_clusters(values_M, shares_M, num_clusters)
        losses["reg"] = stage.reg_weight * mean
    student_M = logits_RC[rows, labels].sigmoid()
    ranked = (student_M, targets.scores, clusters, targets.num_clusters)
    divergence_K = rank_matching(*ranked, stage.temperature)
    losses["rank"] = stage.rank_weight * divergence_K.sum() / num_clusters
    if not figures:
        return losses, {}
    num_real = (sizes_K > 0).sum().clamp(min=1)
    stats = {
        "clusters": (sizes_K > 0).sum().float(),
        "cluster_size": sizes_K.sum() / num_real,
        "rank_agreement": rank_agreement(*ranked),
    }
    return losses, stats


def sampled_background(
    targets: Targets, images_R: Tensor, num_images: int, limit: int
) -> tuple[Targets, Tensor]:
    """The targets of the taught priors and of some of each image's background.

    Background priors are drawn at random, without replacement; each stands for as many
    of its image as there are per drawn one, so that the background part of the loss
    has the same expectation. Priors that teach nothing are left out.

    Args:
        targets: of R priors.
        images_R: (R,) image of each prior, int64 in [0, num_images).
        num_images: images of the batch.
        limit: most background priors of an image, at least 1.

    Returns:
        Targets of R' of the priors, with ``background_counts``; and which they are
        (R',), rising.
    """
    background_R = targets.background
    keys_R = torch.rand(len(images_R), device=images_R.device)
    # By image, its background first and in random order.
    order = torch.where(background_R, keys_R, 2.0).argsort()
    order = order[images_R[order].argsort(stable=True)]
    images = images_R[order]
    place = torch.arange(len(order), device=order.device)
    place = place - torch.searchsorted(images, images)
    drawn_R = torch.empty_like(background_R)
    drawn_R[order] = place < limit
    drawn_R &= background_R
    used_R = drawn_R.index_fill(0, targets.rows, True)
    rows = used_R.nonzero(as_tuple=True)[0]
    number_R = used_R.cumsum(0) - 1
    totals, drawn = (
        keys_R.new_zeros(num_images).index_add(0, images_R, mask_R.to(keys_R))
        for mask_R in (background_R, drawn_R)
    )
    each_R = (totals / drawn.clamp(min=1))[images_R]
    sampled = replace(
        targets,
        rows=number_R[targets.rows],
        background=drawn_R[rows],
        background_counts=(each_R * drawn_R)[rows],
    )
    return sampled, rows


def best_overlaps(
    boxes_P4: Tensor, images_P: Tensor, objects_K4: Tensor, images_K: Tensor
) -> Tensor:
    """Largest IoU (P,) of each box with the objects of its image; 0 without any.

    An object of image -1 is of none.
    """
    if len(objects_K4) == 0:
        return boxes_P4.new_zeros(len(boxes_P4))
    best = []
    rows = max(1, _MAX_PAIRS // len(objects_K4))
    for boxes, images in zip(boxes_P4.split(rows), images_P.split(rows), strict=True):
        iou = pairwise_iou(boxes[:, None], objects_K4).nan_to_num(0.0)
        best.append((iou * (images[:, None] == images_K)).amax(1))
    return torch.cat(best) if best else boxes_P4.new_zeros(0)


def assignment_masks(
    guidance: DenseGuidance, targets: Targets, pos_iou_thr: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Where the clusters disagree with assigning the kept boxes by IoU.

    Figures 3 and 4 of DTG-SSOD: dense guidance suppresses proposals that overlap an
    object but that the teacher scores low, and teaches ambiguous ones that overlap it
    too little for assignment.

    Args:
        guidance: in strong-view pixels.
        targets: what the R-CNN stage learns from it.
        pos_iou_thr: IoU from which assignment calls a proposal foreground.

    Returns:
        Largest IoU (P,) of each proposal with a visible kept box of its image; whether
        it is ambiguous (P,); whether it is suppressed (P,).
    """
    candidates = guidance.stages["rcnn"]
    images = torch.where(candidates.alive, candidates.images[candidates.kept], -1)
    overlaps = best_overlaps(
        guidance.proposals, guidance.proposal_images, candidates.kept_boxes, images
    )
    assigned = (overlaps >= pos_iou_thr) & guidance.proposals_seen
    taught = torch.zeros_like(assigned).index_fill(0, targets.rows, True)
    return overlaps, taught & ~assigned, assigned & targets.background


@torch.no_grad()
def assignment_shares(
    guidance: DenseGuidance, targets: Targets, pos_iou_thr: float
) -> dict[str, Tensor]:
    """How often; see :func:`assignment_masks`.

    Returns:
        ``ambiguous``: share of the taught proposals that assignment would make
        background; ``suppressed``: share of those that it would make foreground which
        are background here. Both 0 where there is nothing to divide.
    """
    overlaps, ambiguous, suppressed = assignment_masks(guidance, targets, pos_iou_thr)
    taught = torch.zeros_like(ambiguous).index_fill(0, targets.rows, True)
    assigned = (overlaps >= pos_iou_thr) & guidance.proposals_seen
    return {
        "ambiguous": ambiguous.sum() / taught.sum().clamp(min=1),
        "suppressed": suppressed.sum() / assigned.sum().clamp(min=1),
    }
