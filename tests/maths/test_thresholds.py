"""Equation 6 of the certainty-aware paper."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.thresholds import (
    class_evidence,
    class_thresholds,
    class_weights,
    relative_frequencies,
)

unit = st.floats(0, 1, width=32)
candidates = st.lists(st.tuples(st.integers(0, 3), unit, unit), max_size=30)


def slow_evidence(boxes, floor, use_quality):
    mass, counts = [0.0] * 4, [0.0] * 4
    for label, prob, quality in boxes:
        if prob >= floor:
            mass[label] += prob * (quality if use_quality else 1.0)
            counts[label] += 1
    return mass, counts


def slow_equation_6(mass, counts, tau, g1, g2, clip, bounds, prior):
    """Thresholds and weights, one class after the other."""
    average = sum(counts) / len(counts) + prior
    thresholds, weights = [], []
    for own in mass:
        ratio = (own + prior) / average if average else 1.0
        value = ratio**g1 * tau
        thresholds.append(min(max(value, clip[0]), clip[1]) if g1 else tau)
        value = (1 / ratio) ** g2 if ratio else math.inf
        weights.append(min(max(value, bounds[0]), bounds[1]) if g2 else 1.0)
    return thresholds, weights


def columns(boxes):
    labels = torch.tensor([b[0] for b in boxes], dtype=torch.long)
    probs, qualities = (
        torch.tensor([b[i] for b in boxes], dtype=torch.float32) for i in (1, 2)
    )
    return labels, probs, qualities


@settings(deadline=None)
@given(candidates, st.sampled_from([0.0, 0.05, 0.5]), st.booleans())
def test_evidence_equals_the_loop(boxes, floor, use_quality):
    labels, probs, qualities = columns(boxes)
    found = class_evidence(labels, probs, qualities if use_quality else None, 4, floor)
    # the threshold is compared in the scores' own precision
    floor = torch.tensor(floor, dtype=torch.float32).item()
    want = torch.tensor(slow_evidence(boxes, floor, use_quality), dtype=torch.float64)
    torch.testing.assert_close(found, want, rtol=1e-12, atol=0)


# Nothing between 0 and 1e-30, which is no number of candidates and underflows.
@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.just(0.0) | st.floats(1e-30, 1e6), unit), min_size=1, max_size=6
    ),
    st.floats(0, 1),
    st.sampled_from([0.0, 0.03, 0.05, 1.0]),
    st.sampled_from([0.0, 0.4, 0.6]),
    st.sampled_from([0.0, 1.0, 10.0]),
)
def test_thresholds_and_weights_equal_the_loop(classes, tau, g1, g2, prior):
    counts = [count for count, _ in classes]
    mass = [count * share for count, share in classes]
    clip, bounds = (0.4, 0.9), (0.1, 10.0)
    want = slow_equation_6(mass, counts, tau, g1, g2, clip, bounds, prior)
    exact = (torch.tensor(column, dtype=torch.float64) for column in (mass, counts))
    ratio = relative_frequencies(*exact, prior)
    found = class_thresholds(ratio, tau, g1, clip), class_weights(ratio, g2, bounds)
    for ours, theirs in zip(found, want, strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, torch.tensor(theirs), rtol=1e-5, atol=1e-6)


def test_value_by_hand():
    # p v sums to 8, 2, 0 over 10, 4, 1 candidates: n = 15 / 3 = 5, c / n = 1.6, .4, 0
    ratio = relative_frequencies(torch.tensor([8.0, 2, 0]), torch.tensor([10.0, 4, 1]))
    torch.testing.assert_close(ratio, torch.tensor([1.6, 0.4, 0]).double())
    # 0.7 * 1.6^.05 = 0.71665..., 0.7 * 0.4^.05 = 0.66866..., the third is clipped
    torch.testing.assert_close(
        class_thresholds(ratio),
        torch.tensor([0.7166438, 0.6686563, 0.4]),
        rtol=1e-5,
        atol=0,
    )
    # 1.6^-.6 = 0.75427..., 0.4^-.6 = 1.73286..., the third would be infinite
    torch.testing.assert_close(
        class_weights(ratio),
        torch.tensor([0.754275, 1.732864, 10.0]),
        rtol=1e-5,
        atol=0,
    )


def test_rarer_classes_get_lower_thresholds_and_larger_weights():
    mass = torch.tensor([900.0, 90, 9, 0.9])
    ratio = relative_frequencies(mass, mass / 0.9)
    assert (class_thresholds(ratio).diff() < 0).all()
    assert (class_weights(ratio, bounds=(1e-9, 1e9)).diff() > 0).all()


def test_equal_classes_get_tau_and_one():
    ratio = relative_frequencies(torch.full((5,), 7.0), torch.full((5,), 7.0))
    torch.testing.assert_close(class_thresholds(ratio), torch.full((5,), 0.7))
    torch.testing.assert_close(class_weights(ratio), torch.ones(5))


def test_zero_exponents_switch_off():
    ratio = torch.tensor([0.0, 1.0, 50.0])
    assert class_thresholds(ratio, tau=0.3, g1=0).tolist() == pytest.approx([0.3] * 3)
    assert class_weights(ratio, g2=0).tolist() == [1.0] * 3


def test_nothing_seen():
    none = class_evidence(torch.zeros(0, dtype=torch.long), *torch.zeros(2, 0), 3)
    assert none.tolist() == [[0.0] * 3] * 2
    for prior in (0.0, 1.0):
        ratio = relative_frequencies(*none, prior)
        assert class_thresholds(ratio, tau=0.7).tolist() == pytest.approx([0.7] * 3)
        assert class_weights(ratio).tolist() == [1.0] * 3


@settings(deadline=None)
@given(st.floats(0, 1e12), st.sampled_from([0.0, 1.0]))
def test_an_unseen_class_stays_finite(count, prior):
    ratio = relative_frequencies(
        torch.tensor([0.0, 0.9 * count]), torch.tensor([0.0, count]), prior
    )
    thresholds, weights = class_thresholds(ratio), class_weights(ratio)
    assert ((thresholds >= 0.4) & (thresholds <= 0.9)).all()
    assert ((weights >= 0.1) & (weights <= 10)).all()


def test_sums_stay_exact_over_a_long_run():
    """Ten million candidates so far do not swallow one more (float32 would)."""
    many = class_evidence(*columns([(0, 1.0, 1.0)]), 1) * 3e7
    more = many + class_evidence(*columns([(0, 0.5, 0.5)]), 1)
    assert (more - many).tolist() == [[0.25], [1.0]]
