"""Losses of dense guidance on the student's candidates of one stage.

DTG-SSOD, equations 2-6, with :mod:`ssod_mm.maths.ranking` for the means over clusters
and for rank matching.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from mmdet.utils import reduce_mean
from torch import Tensor

from ssod_mm.maths.ranking import (
    cluster_means,
    cluster_sizes,
    mean_over_clusters,
    rank_agreement,
    rank_matching,
)
from ssod_mm.models.dense.clusters import Clusters
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.heads.focal import focal_rows

# (candidates' rows, their priors' target boxes, labels) -> box loss of each candidate
BoxLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Lesson:
    """What a stage of the student learns: M candidates among its R priors.

    Attributes:
        rows: (M,) prior of each candidate, int64 in [0, R).
        labels: (M,) class to predict.
        scores: (M,) the teacher's probability of it.
        clusters: (M,) cluster, int64 in [0, K).
        targets: (M, 4) box to predict, in strong-view pixels.
        num_clusters: K.
        background: (R,) whether a prior is background.
        background_counts: (R,) how many background priors each stands for where they
            are a sample; None for one each.
    """

    rows: Tensor
    labels: Tensor
    scores: Tensor
    clusters: Tensor
    targets: Tensor
    num_clusters: int
    background: Tensor
    background_counts: Tensor | None = None


def cluster_lesson(
    found: Clusters, rows: Tensor, seen: Tensor, background: Tensor, stage: DenseStage
) -> Lesson:
    """What the teacher's clusters say about the student's priors.

    A candidate whose kept box is not visible in the strong view teaches nothing.

    Args:
        found: the teacher's clusters, mapped to the strong views.
        rows: (M,) the student's prior of each candidate, int64 in [0, R).
        seen: (M,) whether that prior can be taught.
        background: (R,) whether a prior is background.
        stage: settings.
    """
    taught = (found.alive[found.clusters] & seen).nonzero(as_tuple=True)[0]
    targets = found.boxes
    if stage.box_target == "kept":
        targets = found.kept_boxes[found.clusters]
    return Lesson(
        rows=rows[taught],
        labels=found.labels[taught],
        scores=found.scores[taught],
        clusters=found.clusters[taught],
        targets=targets[taught],
        num_clusters=len(found),
        background=background,
    )


def foreground_rows(
    logits_RC: Tensor, lesson: Lesson, gamma: float, alpha: float
) -> Tensor:
    """Focal loss of each candidate's prior (M,).

    The target has a one for every class that the prior is a candidate of, so that two
    clusters of different classes do not push the same prior in opposite directions.
    """
    rows_U, place_M = torch.unique(lesson.rows, return_inverse=True)
    targets_UC = logits_RC.new_zeros(len(rows_U), logits_RC.shape[1])
    targets_UC[place_M, lesson.labels] = 1.0
    return focal_rows(logits_RC[rows_U], targets_UC, gamma, alpha)[place_M]


def reduced_counts(counts_3: Tensor) -> Tensor:
    """Clusters, foreground and background priors (3,) in the mean over processes.

    As normalisers they let each cluster weigh the same. Every process has to ask, once
    for each dense stage.
    """
    return reduce_mean(counts_3)


def lesson_losses(
    logits_RC: Tensor,
    box_loss: BoxLoss,
    lesson: Lesson,
    stage: DenseStage,
    focal: tuple[float, float],
    class_weights_C: Tensor | None = None,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Losses of one stage (equation 6), and statistics for the log.

    Deviation: the paper does not say what divides the background part; see
    ``DenseStage.background_norm``.

    Args:
        logits_RC: the student's class logits of all its priors (R, C).
        box_loss: box loss of candidates, see :data:`BoxLoss`.
        lesson: what to learn.
        stage: settings.
        focal: gamma and alpha of the classification loss.
        class_weights_C: factors on the losses of foreground candidates by class.

    Returns:
        ``cls``, ``reg`` and ``rank``, each a scalar in the graph of ``logits_RC``; and
        ``clusters``, ``cluster_size`` and ``rank_agreement``.
    """
    logits_RC = logits_RC.float()
    sizes_K = cluster_sizes(lesson.clusters, lesson.num_clusters)
    taught_R = torch.zeros_like(lesson.background).index_fill(0, lesson.rows, True)
    background_R = lesson.background_counts
    if background_R is None:
        background_R = lesson.background
    counts = torch.stack(
        [one.sum().float() for one in (sizes_K > 0, taught_R, background_R)]
    )
    num_clusters, foreground, background = reduced_counts(counts).unbind()

    def over_clusters(values_M: Tensor) -> Tensor:
        means_K = cluster_means(values_M, lesson.clusters, lesson.num_clusters)
        return mean_over_clusters(means_K, sizes_K, num_clusters)

    weights_M = (
        torch.ones_like(lesson.scores)
        if class_weights_C is None
        else class_weights_C[lesson.labels]
    )
    everything = foreground + background
    divisor = everything
    if stage.background_norm == "foreground":
        divisor = torch.maximum(foreground, stage.min_foreground * everything)
    negatives_R = focal_rows(logits_RC, torch.zeros_like(logits_RC), *focal)
    negative = (negatives_R * background_R).sum() / divisor.clamp(min=1)
    positive = over_clusters(foreground_rows(logits_RC, lesson, *focal) * weights_M)
    losses = {"cls": stage.cls_weight * (positive + stage.background_weight * negative)}
    if stage.box_target == "none" or len(lesson.rows) == 0:
        losses["reg"] = logits_RC.sum() * 0.0
    else:
        rows = box_loss(lesson.rows, lesson.targets, lesson.labels)
        losses["reg"] = stage.reg_weight * over_clusters(rows * weights_M)
    student_M = logits_RC[lesson.rows, lesson.labels].sigmoid()
    ranked = (student_M, lesson.scores, lesson.clusters, lesson.num_clusters)
    divergence_K = rank_matching(*ranked, stage.temperature)
    losses["rank"] = stage.rank_weight * mean_over_clusters(
        divergence_K, sizes_K, num_clusters
    )
    num_real = (sizes_K > 0).sum().clamp(min=1)
    stats = {
        "clusters": (sizes_K > 0).sum().float(),
        "cluster_size": sizes_K.sum() / num_real,
        "rank_agreement": rank_agreement(*ranked),
    }
    return losses, stats
