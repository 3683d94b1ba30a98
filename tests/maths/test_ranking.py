"""Cluster means and rank matching against loops in float64."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ssod_mm.maths.correlation import spearman
from ssod_mm.maths.ranking import (
    candidate_shares,
    cluster_ranks,
    cluster_sizes,
    mean_over_clusters,
    rank_agreement,
    rank_matching,
)

NUM_CLUSTERS = 4
probability = st.floats(0.0, 1.0, allow_nan=False)
rows = st.lists(
    st.tuples(probability, probability, st.integers(0, NUM_CLUSTERS - 1)), max_size=12
)
# Few different values: most clusters have ties, many are constant.
level = st.sampled_from([0.0, 0.1, 0.25, 0.5, 1.0])
tied_rows = st.lists(
    st.tuples(level, level | probability, st.integers(0, NUM_CLUSTERS - 1)), max_size=30
)


def tensors(drawn):
    table = torch.tensor(drawn, dtype=torch.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2].long()


def slow_rank_matching(student, teacher, clusters, temperature):
    result = []
    for number in range(NUM_CLUSTERS):
        mine = [i for i, c in enumerate(clusters) if c == number]
        s = [math.exp(student[i] / temperature) for i in mine]
        t = [math.exp(teacher[i] / temperature) for i in mine]
        terms = [
            (b / sum(t)) * math.log((b / sum(t)) / (a / sum(s)))
            for a, b in zip(s, t, strict=True)
        ]
        result.append(sum(terms))
    return result


@given(rows, st.sampled_from([0.5, 1.0, 5.0]))
@settings(deadline=None, max_examples=100)
def test_rank_matching_equals_the_loop(drawn, temperature):
    student, teacher, clusters = tensors(drawn)
    got = rank_matching(student, teacher, clusters, NUM_CLUSTERS, temperature)
    want = slow_rank_matching(
        student.tolist(), teacher.tolist(), clusters.tolist(), temperature
    )
    torch.testing.assert_close(
        got, torch.tensor(want, dtype=torch.float64), atol=1e-12, rtol=1e-9
    )


@given(rows, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=50)
def test_rank_matching_ignores_the_order_of_candidates(drawn, random):
    shuffled = list(drawn)
    random.shuffle(shuffled)
    got, want = (rank_matching(*tensors(d), NUM_CLUSTERS) for d in (shuffled, drawn))
    torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-9)


def test_rank_matching_by_hand():
    # p_t = (ln 3, 0), p_s = (0, 0): D_t = (3/4, 1/4), D_s = (1/2, 1/2), so
    # L = 3/4 ln(3/2) + 1/4 ln(1/2) = 0.30410 - 0.17329 = 0.13081.
    teacher = torch.tensor([math.log(3.0), 0.0])
    got = rank_matching(torch.zeros(2), teacher, torch.zeros(2).long(), 1)
    assert got.item() == pytest.approx(0.13081, abs=1e-5)


def test_rank_matching_is_zero_for_equal_scores_and_for_single_candidates():
    scores = torch.tensor([0.9, 0.2, 0.5, 0.7], dtype=torch.float64)
    clusters = torch.tensor([0, 0, 0, 1])
    equal = rank_matching(scores, scores, clusters, 2)
    torch.testing.assert_close(equal, torch.zeros(2).double(), atol=1e-15, rtol=0)
    other = rank_matching(1 - scores, scores, clusters, 2)
    assert other[0] > 0.01
    assert other[1] == 0


def test_rank_matching_gradient():
    student = torch.rand(6, dtype=torch.float64, requires_grad=True)
    teacher = torch.rand(6, dtype=torch.float64)
    clusters = torch.tensor([0, 0, 1, 1, 1, 2])
    assert torch.autograd.gradcheck(
        lambda s: rank_matching(s, teacher, clusters, 3, 0.7), student
    )
    grad = torch.autograd.grad(
        rank_matching(student, teacher, clusters, 3).sum(), student
    )[0]
    assert grad[:5].abs().min() > 0
    assert grad[5] == 0


def test_temperature_must_be_positive():
    empty = torch.zeros(0)
    with pytest.raises(ValueError, match="temperature"):
        rank_matching(empty, empty, empty.long(), 0, 0.0)


@given(rows)
@settings(deadline=None, max_examples=50)
def test_mean_of_means_equals_the_loop(drawn):
    values, _, clusters = tensors(drawn)
    means = []
    for number in range(NUM_CLUSTERS):
        mine = values[clusters == number].tolist()
        if mine:
            means.append(sum(mine) / len(mine))
    sizes = cluster_sizes(clusters, NUM_CLUSTERS)
    shares = candidate_shares(sizes, clusters)
    got = mean_over_clusters(values, shares, (sizes > 0).sum().clamp(min=1))
    want = sum(means) / len(means) if means else 0.0
    assert got.item() == pytest.approx(want)


def test_a_given_count_divides():
    values, shares = torch.tensor([1.0, 3.0, 5.0]), torch.tensor([1.0, 0.5, 0.5])
    assert mean_over_clusters(values, shares, torch.tensor(10.0)).item() == 0.5


def test_ranks_within_clusters():
    values = torch.tensor([0.1, 0.9, 0.5, 0.5, 0.7])
    clusters = torch.tensor([1, 0, 1, 1, 0])
    assert cluster_ranks(values, clusters, 2).tolist() == [2, 0, 0, 1, 1]


def test_rank_agreement_of_equal_reversed_and_mixed_orders():
    teacher = torch.tensor([0.9, 0.8, 0.7])
    one = torch.zeros(3).long()
    assert rank_agreement(teacher, teacher, one, 1).item() == 1.0
    assert rank_agreement(-teacher, teacher, one, 1).item() == -1.0
    # ranks (1, 0, 2) against (0, 1, 2): 1 - 6 * 2 / (3 * 8) = 0.5
    mixed = torch.tensor([0.8, 0.9, 0.7])
    assert rank_agreement(mixed, teacher, one, 1).item() == 0.5
    # the second cluster has one candidate and does not count
    two = torch.tensor([0, 0, 1])
    assert rank_agreement(mixed, teacher, two, 2).item() == -1.0


def slow_rank_agreement(student, teacher, clusters):
    results = []
    for number in range(NUM_CLUSTERS):
        mine = clusters == number
        result = spearman(student[mine], teacher[mine]).item()
        if not math.isnan(result):
            results.append(result)
    return sum(results) / len(results) if results else 0.0


@given(rows | tied_rows)
@example([(0.5, 0.1, 0), (0.5, 0.2, 0), (0.5, 0.3, 0)])
@example([(0.5, 0.1, 2), (0.5, 0.2, 2), (0.7, 0.2, 2), (0.7, 0.1, 1), (0.8, 0.1, 1)])
@settings(deadline=None, max_examples=150)
def test_rank_agreement_equals_the_loop(drawn):
    student, teacher, clusters = tensors(drawn)
    want = slow_rank_agreement(student, teacher, clusters)
    for pair in ((student, teacher), (teacher, student)):
        got = rank_agreement(*pair, clusters, NUM_CLUSTERS)
        assert got.item() == pytest.approx(want, abs=1e-6)


def test_rank_agreement_of_ties():
    # ranks (1.5, 1.5, 3) and (1, 2, 3) less their mean 2: (-0.5, -0.5, 1) and
    # (-1, 0, 1), so 1.5 / sqrt(1.5 * 2) = 0.8660
    student = torch.tensor([0.5, 0.5, 0.1, 0.7, 0.7, 0.2])
    teacher = torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5, 0.3])
    one = torch.zeros(3).long()
    got = rank_agreement(student[:3], teacher[:3], one, 1)
    assert got.item() == pytest.approx(0.8660, abs=1e-4)
    assert rank_agreement(student[:2], teacher[:2], one[:2], 1).item() == 0
    # the constant second cluster and the single candidate do not count
    clusters = torch.tensor([0, 0, 0, 1, 1, 2])
    assert rank_agreement(student, teacher, clusters, 3).item() == got.item()


def test_rank_agreement_does_not_wait_for_the_device():
    """A tensor on "meta" has no values, so that nothing may depend on them."""
    scores = torch.zeros(5, device="meta", dtype=torch.bfloat16)
    clusters = torch.zeros(5, device="meta", dtype=torch.long)
    assert rank_agreement(scores, scores, clusters, 3).shape == ()


def test_no_candidates():
    empty, none = torch.zeros(0, requires_grad=True), torch.zeros(0).long()
    for count in (0, 2):
        got = rank_matching(empty, empty, none, count)
        assert got.tolist() == [0.0] * count
        sizes = cluster_sizes(none, count)
        shares = candidate_shares(sizes, none)
        assert mean_over_clusters(empty, shares, torch.tensor(1.0)).item() == 0
        assert rank_agreement(empty, empty, none, count).item() == 0
