"""Means over clusters and rank matching.

DTG-SSOD (NeurIPS 2022), equations 2-5: a loss is averaged within a cluster and then
over the clusters; rank matching compares how teacher and student distribute a
cluster's probability over its candidates.

Shape legend: M candidates, K clusters.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ssod_mm.errors import UserError


def cluster_sizes(clusters_M: Tensor, num_clusters: int) -> Tensor:
    """Candidates of each cluster.

    Args:
        clusters_M: (M,) int64 in [0, K).
        num_clusters: K.

    Returns:
        (K,) int64; zeros for clusters without a candidate.
    """
    ones = torch.ones_like(clusters_M)
    return ones.new_zeros(num_clusters).index_add(0, clusters_M, ones)


def candidate_shares(sizes_K: Tensor, clusters_M: Tensor) -> Tensor:
    """What each candidate counts in the mean of its cluster, ``1 / N_j``.

    Args:
        sizes_K: (K,) candidates of each cluster.
        clusters_M: (M,) int64 in [0, K).

    Returns:
        (M,) in (0, 1].
    """
    return sizes_K.float().reciprocal()[clusters_M]


def mean_over_clusters(values_M: Tensor, shares_M: Tensor, count: Tensor) -> Tensor:
    """Mean over the clusters of the mean over each one's candidates.

    Reference:
        DTG-SSOD, equations 2 and 3.

    Args:
        values_M: (M,) one value per candidate.
        shares_M: (M,) see :func:`candidate_shares`.
        count: clusters that have candidates, or the mean of their number over
            processes; at least 1.

    Returns:
        A scalar; 0 without candidates.
    """
    return (values_M * shares_M).sum() / count


def cluster_log_softmax(
    values_FM: Tensor, clusters_M: Tensor, num_clusters: int
) -> Tensor:
    """Logarithm of the softmax over each cluster's own candidates.

    Args:
        values_FM: (F, M) real values, row by row.
        clusters_M: (M,) int64 in [0, K).
        num_clusters: K.

    Returns:
        (F, M), not positive; empty for no candidates.
    """
    rows, fixed_FM = len(values_FM), values_FM.detach()
    top_FK = fixed_FM.new_full((rows, num_clusters), -torch.inf)
    of_rows = clusters_M.expand(rows, -1)
    top_FK.scatter_reduce_(1, of_rows, fixed_FM, "amax")
    shifted_FM = values_FM - top_FK[:, clusters_M]
    zeros_FK = fixed_FM.new_zeros(rows, num_clusters)
    total_FK = zeros_FK.index_add(1, clusters_M, shifted_FM.exp())
    return shifted_FM - total_FK.log().index_select(1, clusters_M)


def rank_matching(
    student_M: Tensor,
    teacher_M: Tensor,
    clusters_M: Tensor,
    num_clusters: int,
    temperature: float = 1.0,
) -> Tensor:
    """Divergence of the student's score distribution from the teacher's, per cluster.

    ``D = softmax(p / T)`` over the candidates of a cluster, with p the probability of
    the cluster's class, and ``L_RM = sum_i D_t log(D_t / D_s)``.

    Reference:
        DTG-SSOD, equations 4 and 5.

    Args:
        student_M: (M,) student's probabilities in [0, 1]; takes the gradient.
        teacher_M: (M,) teacher's probabilities in [0, 1].
        clusters_M: (M,) int64 in [0, K).
        num_clusters: K.
        temperature: T > 0.

    Returns:
        (K,), not negative up to rounding; 0 for clusters of at most one candidate and
        where both distributions agree.

    Raises:
        ValueError: if the temperature is not positive.
    """
    if temperature <= 0:
        raise UserError(f"temperature must be positive, not {temperature}.")
    scores_2M = torch.stack([student_M, teacher_M.detach()]) / temperature
    log_s_M, log_t_M = cluster_log_softmax(scores_2M, clusters_M, num_clusters)
    log_t_M = log_t_M.detach()
    terms_M = log_t_M.exp() * (log_t_M - log_s_M)
    return terms_M.new_zeros(num_clusters).index_add(0, clusters_M, terms_M)


def cluster_ranks(values_M: Tensor, clusters_M: Tensor, num_clusters: int) -> Tensor:
    """Place of each candidate in its cluster by falling value, 0 for the best.

    Args:
        values_M: (M,) values; equal ones are placed in the order of the input.
        clusters_M: (M,) int64 in [0, K).
        num_clusters: K.

    Returns:
        (M,) int64 in [0, cluster's size).
    """
    order = values_M.argsort(descending=True, stable=True)
    order = order[clusters_M[order].argsort(stable=True)]
    sizes = cluster_sizes(clusters_M, num_clusters)
    starts = sizes.cumsum(0) - sizes
    ranks = torch.empty_like(clusters_M)
    places = torch.arange(len(order), device=order.device)
    ranks[order] = places - starts[clusters_M[order]]
    return ranks


def rank_agreement(
    student_M: Tensor, teacher_M: Tensor, clusters_M: Tensor, num_clusters: int
) -> Tensor:
    """Mean Spearman correlation of student's and teacher's ranks within clusters.

    Equal values share the mean of their ranks, so that the order of the input does not
    count.

    Args:
        student_M: (M,) student's probabilities.
        teacher_M: (M,) teacher's probabilities.
        clusters_M: (M,) int64 in [0, K).
        num_clusters: K.

    Returns:
        A scalar in [-1, 1] over the clusters in which neither side is constant, hence
        of two or more candidates; 0 if there is none.
    """

    def deviations(values_M: Tensor) -> Tensor:
        # Places from the top and from the bottom, both with ties in the order of the
        # input: their difference is twice the mean rank less the cluster's mean.
        fall_M = cluster_ranks(values_M, clusters_M, num_clusters)
        return fall_M - cluster_ranks(-values_M, clusters_M, num_clusters)

    s_M, t_M = deviations(student_M.detach()), deviations(teacher_M.detach())
    products_3M = torch.stack([s_M * t_M, s_M * s_M, t_M * t_M])
    sums_3K = products_3M.new_zeros(3, num_clusters).index_add(
        1, clusters_M, products_3M
    )
    both_K, student_K, teacher_K = sums_3K.double()
    varies_K = (student_K > 0) & (teacher_K > 0)
    # without the clamp a constant side gives 0 / 0; with it 0, as both_K is 0 there
    spearman_K = both_K / (student_K * teacher_K).clamp(min=1).sqrt()
    return (spearman_K.sum() / varies_K.sum().clamp(min=1)).float()
