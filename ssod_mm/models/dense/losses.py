"""Targets of the student's candidates of one stage, and the losses on them.

DTG-SSOD, equations 2-6, with :mod:`ssod_mm.maths.ranking` for the means over clusters
and for rank matching; and how these targets differ from those of label assignment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from ssod_mm.maths.clustering import pairwise_iou
from ssod_mm.maths.ranking import (
    cluster_means,
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


def cluster_targets(
    candidates: Clusters,
    rows: Tensor,
    seen: Tensor,
    background: Tensor,
    stage: DenseStage,
) -> Targets:
    """What the teacher's clusters say about the student's priors.

    A candidate whose kept box is not visible in the strong view teaches nothing.

    Args:
        candidates: the teacher's clusters, mapped to the strong views.
        rows: (M,) the student's prior of each candidate, int64 in [0, R).
        seen: (M,) whether that prior can be taught.
        background: (R,) whether a prior is background.
        stage: settings.
    """
    taught = (candidates.alive[candidates.clusters] & seen).nonzero(as_tuple=True)[0]
    boxes = candidates.boxes
    if stage.box_target == "kept":
        boxes = candidates.kept_boxes[candidates.clusters]
    return Targets(
        rows=rows[taught],
        labels=candidates.labels[taught],
        scores=candidates.scores[taught],
        clusters=candidates.clusters[taught],
        boxes=boxes[taught],
        num_clusters=len(candidates),
        background=background,
    )


def foreground_rows(
    logits_RC: Tensor, targets: Targets, gamma: float, alpha: float
) -> Tensor:
    """Focal loss of each candidate's prior (M,).

    The target has a one for every class that the prior is a candidate of, so that two
    clusters of different classes do not push the same prior in opposite directions.
    """
    # Candidates of one prior share a row of the targets; which one, sorting tells
    # without the host that would have to wait for their number.
    order = targets.rows.argsort()
    in_order = targets.rows[order]
    is_next = torch.zeros_like(in_order)
    is_next[1:] = in_order[1:] != in_order[:-1]
    place_M = torch.empty_like(order).scatter_(0, order, is_next.cumsum(0))
    targets_MC = logits_RC.new_zeros(len(order), logits_RC.shape[1])
    targets_MC[place_M, targets.labels] = 1.0
    return focal_rows(logits_RC[targets.rows], targets_MC[place_M], gamma, alpha)


def reduced_counts(counts_3: Tensor) -> Tensor:
    """Clusters, foreground and background priors (3,) in the mean over processes.

    As normalisers they let each cluster weigh the same. Every process has to ask, once
    for each dense stage.
    """
    return reduce_mean(counts_3)


def cluster_losses(
    logits_RC: Tensor,
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
    sizes_K = cluster_sizes(targets.clusters, targets.num_clusters)
    taught_R = torch.zeros_like(targets.background).index_fill(0, targets.rows, True)
    background_R = targets.background_counts
    if background_R is None:
        background_R = targets.background
    counts = torch.stack(
        [mask.sum().float() for mask in (sizes_K > 0, taught_R, background_R)]
    )
    num_clusters, foreground, background = reduced_counts(counts).unbind()

    def over_clusters(values_M: Tensor) -> Tensor:
        means_K = cluster_means(values_M, targets.clusters, targets.num_clusters)
        return mean_over_clusters(means_K, sizes_K, num_clusters)

    weights_M = (
        torch.ones_like(targets.scores)
        if class_weights_C is None
        else class_weights_C[targets.labels]
    )
    everything = foreground + background
    divisor = everything
    if stage.background_norm == "foreground":
        divisor = torch.maximum(foreground, stage.min_foreground * everything)
    negatives_R = focal_rows(logits_RC, torch.zeros_like(logits_RC), *focal)
    negative = (negatives_R * background_R).sum() / divisor.clamp(min=1)
    positive = over_clusters(foreground_rows(logits_RC, targets, *focal) * weights_M)
    losses = {"cls": stage.cls_weight * (positive + stage.background_weight * negative)}
    if stage.box_target == "none" or len(targets.rows) == 0:
        losses["reg"] = logits_RC.sum() * 0.0
    else:
        rows = box_loss(targets.rows, targets.boxes, targets.labels)
        losses["reg"] = stage.reg_weight * over_clusters(rows * weights_M)
    student_M = logits_RC[targets.rows, targets.labels].sigmoid()
    ranked = (student_M, targets.scores, targets.clusters, targets.num_clusters)
    divergence_K = rank_matching(*ranked, stage.temperature)
    losses["rank"] = stage.rank_weight * mean_over_clusters(
        divergence_K, sizes_K, num_clusters
    )
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
