"""Momentum, unsupervised weight and the EMA update."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ssod_mm.maths.ema import ema_momentum, unsup_weight, update_ema


# 1 - 1/(i+1): 0 at i=0, 1/2 at 1, 9/10 at 9; capped at m.
@pytest.mark.parametrize(
    ("iteration", "want"), [(0, 0.0), (1, 0.5), (9, 0.9), (999, 0.999), (10**6, 0.999)]
)
def test_momentum_warm_up(iteration, want):
    assert ema_momentum(iteration, 0.999) == pytest.approx(want)


def test_warm_momentum_forgets_the_start():
    """Until the cap the teacher is the plain mean of all students: 0 of the start."""
    teacher = [torch.tensor(100.0)]
    for i in range(50):
        update_ema(teacher, [torch.tensor(float(i))], ema_momentum(i, 0.999))
    assert teacher[0].item() == pytest.approx(sum(range(50)) / 50, rel=1e-5)


# alpha 4, burn-in 10, ramp 4: 0 at 9; 1, 2, 3, 4 at 10..13; 4 after.
@pytest.mark.parametrize(
    ("iteration", "want"), [(0, 0), (9, 0), (10, 1), (11, 2), (12, 3), (13, 4), (99, 4)]
)
def test_unsup_weight_ramp(iteration, want):
    assert unsup_weight(iteration, 4.0, burn_in=10, ramp_iters=4) == want


def test_unsup_weight_without_ramp_jumps():
    assert [unsup_weight(i, 2.0, burn_in=3) for i in range(5)] == [0, 0, 0, 2, 2]


@given(st.floats(0, 1), st.floats(-5, 5), st.floats(-5, 5))
def test_update_is_the_weighted_mean(momentum, old, new):
    teacher, student = [torch.tensor([old, 1.0])], [torch.tensor([new, 1.0])]
    update_ema(teacher, student, momentum)
    want = momentum * old + (1 - momentum) * new
    assert teacher[0][0].item() == pytest.approx(want, abs=1e-5)
    assert teacher[0][1].item() == 1.0


def test_counters_are_copied_and_zero_momentum_copies_exactly():
    teacher = [torch.tensor(3), torch.tensor([0.1, 0.2])]
    student = [torch.tensor(8), torch.tensor([1 / 3, 1e-30])]
    update_ema(teacher, student, 0.9)
    assert teacher[0].item() == 8
    update_ema(teacher, student, 0.0)
    assert torch.equal(teacher[1], student[1])


def test_different_networks_are_refused():
    with pytest.raises(ValueError, match="zip"):
        update_ema([torch.zeros(1)], [], 0.5)
