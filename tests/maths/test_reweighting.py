"""Candidate weights against equations 11 to 14 written as loops."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.reweighting import (
    background_reliability,
    foreground_reliability,
    ler_weights,
    masked_mean,
    prc_weights,
)

few = settings(deadline=None, max_examples=60)
unit = st.floats(0, 1, width=32)
# loss, quality or reliability, background reliability, is foreground
candidates = st.lists(
    st.tuples(st.floats(-2, 5, width=32), unit, unit, st.booleans()), max_size=9
)


def columns(rows):
    """The candidates' four columns, float64 but for the last."""
    table = torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)
    return table[:, 0], table[:, 1], table[:, 2], table[:, 3].bool()


@given(candidates)
@few
def test_equation_11_as_a_loop(rows):
    loss, quality, _, foreground = columns(rows)
    chosen = [(loss, s) for loss, s, _, is_object in rows if is_object]
    want = sum(s * loss for loss, s in chosen) / max(len(chosen), 1)
    got = (ler_weights(quality, foreground).double() * loss).sum()
    assert got.item() == pytest.approx(want, abs=1e-5)
    sampled = (ler_weights(quality, foreground, "sampled").double() * loss).sum()
    want = sum(s * loss for loss, s in chosen) / max(len(rows), 1)
    assert sampled.item() == pytest.approx(want, abs=1e-5)


@given(candidates)
@few
def test_equation_14_as_a_loop(rows):
    loss, fg_reliability, bg_reliability, foreground = columns(rows)
    objects = [s * loss for loss, s, _, is_object in rows if is_object]
    ground = [s * loss for loss, _, s, is_object in rows if not is_object]
    want = sum(objects) / max(len(objects), 1) + sum(ground) / max(len(ground), 1)
    weights = prc_weights(fg_reliability, bg_reliability, foreground)
    assert (weights.double() * loss).sum().item() == pytest.approx(want, abs=1e-5)
    weights = prc_weights(fg_reliability, bg_reliability, foreground, "joint")
    want = (sum(objects) + sum(ground)) / max(len(rows), 1)
    assert (weights.double() * loss).sum().item() == pytest.approx(want, abs=1e-5)


probabilities = st.lists(st.lists(unit, min_size=4, max_size=4), max_size=6)


@given(probabilities, st.data())
@few
def test_equations_12_and_13_as_loops(rows, data):
    probs = torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)
    per_class = [data.draw(st.tuples(unit, unit, unit)) for _ in rows]
    quality = torch.tensor(per_class, dtype=torch.float64).reshape(-1, 3)
    want_fg, want_bg = [], []
    for row, own in zip(rows, per_class, strict=True):
        best = max(range(3), key=lambda c, row=row: row[c])
        want_fg.append(row[best] * own[best])
        want_bg.append(row[3])
    got = foreground_reliability(probs, quality, 3)
    torch.testing.assert_close(got, torch.tensor(want_fg).double(), check_dtype=False)
    got = background_reliability(probs, 3)
    torch.testing.assert_close(got, torch.tensor(want_bg).double(), check_dtype=False)


def test_reliability_by_hand():
    # Classes a, b, background: b is likeliest, so b's quality counts: 0.6 * 0.5.
    probs = torch.tensor([[0.1, 0.6, 0.3]])
    quality = torch.tensor([[0.9, 0.5]])
    assert foreground_reliability(probs, quality, 2).item() == pytest.approx(0.3)
    one_for_all = foreground_reliability(probs, torch.tensor([0.25]), 2)
    assert one_for_all.item() == pytest.approx(0.15)
    assert foreground_reliability(probs, None, 2).item() == pytest.approx(0.6)
    assert background_reliability(probs, 2).item() == pytest.approx(0.3)
    # A sigmoid classifier has no background column: 1 - 0.6.
    assert background_reliability(probs[:, :2], 2).item() == pytest.approx(0.4)


def test_weights_by_hand():
    # Two objects of quality 0.4 and 0.2 among four: 0.4 / 2, 0.2 / 2; or over 4.
    quality = torch.tensor([0.4, 0.2, 1.0, 1.0])
    objects = torch.tensor([True, True, False, False])
    torch.testing.assert_close(
        ler_weights(quality, objects), torch.tensor([0.2, 0.1, 0, 0])
    )
    torch.testing.assert_close(
        ler_weights(quality, objects, "sampled"), torch.tensor([0.1, 0.05, 0, 0])
    )
    ground = torch.tensor([0.0, 0.0, 0.8, 0.6])
    torch.testing.assert_close(
        prc_weights(quality, ground, objects), torch.tensor([0.2, 0.1, 0.4, 0.3])
    )


def test_one_class_alone_and_nothing_at_all():
    quality, nothing = torch.ones(3), torch.zeros(3, dtype=torch.bool)
    assert ler_weights(quality, nothing).tolist() == [0, 0, 0]
    want = [pytest.approx(1 / 3)] * 3
    assert prc_weights(quality, quality, nothing).tolist() == want
    assert prc_weights(quality, quality, ~nothing).tolist() == want
    empty, none = torch.zeros(0), torch.zeros(0, dtype=torch.bool)
    assert ler_weights(empty, none).shape == (0,)
    assert prc_weights(empty, empty, none).shape == (0,)
    assert foreground_reliability(torch.zeros(0, 4), None, 3).shape == (0,)
    assert background_reliability(torch.zeros(0, 3), 3).shape == (0,)
    assert masked_mean(empty, none).item() == 0
    # One class only: its probability is the foreground probability.
    probs = torch.tensor([[0.7, 0.3]])
    assert foreground_reliability(probs, None, 1).item() == pytest.approx(0.7)


def test_a_quality_that_is_not_a_number_at_background_is_not_used():
    quality = torch.tensor([0.5, float("nan")])
    weights = ler_weights(quality, torch.tensor([True, False]))
    assert weights.tolist() == [0.5, 0.0]


def test_masked_mean_by_hand():
    mask = torch.tensor([True, False, True])
    assert masked_mean(torch.tensor([1.0, 100.0, 4.0]), mask).item() == 2.5


def test_unknown_normalisers_are_named():
    flags = torch.ones(2, dtype=torch.bool)
    with pytest.raises(ValueError, match=r"model.ler.reg_norm.*'all'"):
        ler_weights(torch.ones(2), flags, "all")
    with pytest.raises(ValueError, match=r"model.prc.cls_norm.*'all'"):
        prc_weights(torch.ones(2), torch.ones(2), flags, "all")
