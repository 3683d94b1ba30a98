"""Gaussian box loss and localisation quality against slow float64 references."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ssod_mm.maths.gaussians import (
    gaussian_kl_loss,
    limited_log_var,
    localization_quality,
)

few = settings(deadline=None, max_examples=60)
deltas = st.floats(-6, 6, allow_nan=False)
log_vars = st.floats(-12, 12, allow_nan=False)


log_var_rows = st.lists(st.tuples(*[log_vars] * 4), max_size=5).map(
    lambda rows: torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)
)


def slow_loss(pred, log_var, target, limit=4.0):
    """Equations 8 and 9 for one coordinate."""
    s = min(max(log_var, -limit), limit)
    d = abs(target - pred)
    if d <= 1:
        return math.exp(-s) * d**2 / 2 + s / 2
    return math.exp(-s) * (d - 0.5) + s / 2


@given(
    st.lists(
        st.tuples(*[st.tuples(deltas, log_vars, deltas)] * 4), min_size=1, max_size=5
    )
)
@few
def test_loss_against_a_loop(boxes):
    pred, log_var, target = torch.tensor(boxes, dtype=torch.float64).unbind(-1)
    want = [[slow_loss(*coordinate) for coordinate in box] for box in boxes]
    got = gaussian_kl_loss(pred, log_var, target)
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))
    in_float32 = gaussian_kl_loss(pred.float(), log_var.float(), target.float())
    assert in_float32.dtype == torch.float32
    torch.testing.assert_close(in_float32, got.float(), rtol=1e-4, atol=1e-4)


def test_loss_by_hand():
    # d = 0.6, sigma^2 = 4: 0.36 / 2 / 4 + ln(4) / 2 = 0.045 + 0.693147
    # d = 3, sigma^2 = 4: 2.5 / 4 + 0.693147; d = 3, sigma^2 = 1: 2.5
    # d = 0, sigma^2 = 1/4: 0 - 0.693147, a negative loss
    pred = torch.tensor([[0.0, 1.0, -1.0, 2.0]])
    target = torch.tensor([[0.6, 4.0, 2.0, 2.0]])
    log_var = torch.tensor([[4.0, 4.0, 1.0, 0.25]]).log()
    want = torch.tensor([[0.738147, 1.318147, 2.5, -0.693147]])
    torch.testing.assert_close(gaussian_kl_loss(pred, log_var, target), want)


@given(st.floats(-0.99, 0.99), st.floats(-3, 3))
@few
def test_within_one_it_is_the_negative_log_likelihood(error, log_var):
    """Equation 8 is -log N(target; pred, sigma^2) less half of log(2 pi)."""
    density = torch.distributions.Normal(
        torch.tensor(0.0).double(), torch.tensor(log_var / 2, dtype=torch.float64).exp()
    )
    want = (
        -density.log_prob(torch.tensor(error, dtype=torch.float64))
        - math.log(2 * math.pi) / 2
    )
    pred, target = (
        torch.zeros(1, 4).double(),
        torch.full((1, 4), error, dtype=torch.float64),
    )
    got = gaussian_kl_loss(
        pred, torch.full((1, 4), log_var, dtype=torch.float64), target
    )
    torch.testing.assert_close(got, want.expand(1, 4))


@given(log_vars, st.sampled_from([-1.0, 1.0]))
@few
def test_value_and_slope_are_continuous_at_one(log_var, sign):
    step = 1e-7
    errors = sign * torch.tensor([[1 - step, 1.0, 1 + step, 1.0]], dtype=torch.float64)
    pred = errors.clone().requires_grad_()
    spread = torch.full((1, 4), log_var, dtype=torch.float64)
    loss = gaussian_kl_loss(pred, spread, torch.zeros(1, 4, dtype=torch.float64))
    (slope,) = torch.autograd.grad(loss.sum(), pred)
    scale = math.exp(-min(max(log_var, -4), 4))
    assert (loss - loss[0, 1]).abs().max() < 3 * scale * step
    assert (slope - slope[0, 1]).abs().max() < 3 * scale * step
    assert slope[0, 1].item() == pytest.approx(sign * scale)


def test_variance_at_the_minimum_is_the_squared_error():
    """d/ds [exp(-s) d^2 / 2 + s / 2] = 0 at s = log d^2."""
    error = torch.tensor([[0.2, 0.3, 0.7, 0.9]], dtype=torch.float64)
    log_var = error.square().log().requires_grad_()
    loss = gaussian_kl_loss(error, log_var, torch.zeros_like(error))
    (slope,) = torch.autograd.grad(loss.sum(), log_var)
    torch.testing.assert_close(slope, torch.zeros_like(slope))


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    draw = torch.randn(2, 6, 4, generator=generator, dtype=torch.float64)
    pred = (2 * draw[0]).requires_grad_()
    log_var = draw[1].clamp(-3.9, 3.9).requires_grad_()
    target = 3 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    assert torch.autograd.gradcheck(gaussian_kl_loss, (pred, log_var, target))
    for quality_on in ("variance", "log_variance"):
        assert torch.autograd.gradcheck(localization_quality, (log_var, quality_on))


@pytest.mark.parametrize("log_var", [-1e30, -50.0, 50.0, 1e30])
@pytest.mark.parametrize("error", [0.0, 1e-20, 1.0, 30.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_extreme_inputs_stay_finite_and_come_back(log_var, error, dtype):
    pred = torch.full((1, 4), error, dtype=dtype)
    spread = torch.full((1, 4), log_var).clamp(
        torch.finfo(dtype).min, torch.finfo(dtype).max
    )
    spread = spread.to(dtype).requires_grad_()
    pred.requires_grad_()
    loss = gaussian_kl_loss(pred, spread, torch.zeros(1, 4, dtype=dtype)).sum()
    loss.backward()
    assert loss.dtype == torch.float32
    assert all(torch.isfinite(x).all() for x in (loss, pred.grad, spread.grad))
    assert loss >= -4 * 2.0
    # Far below the limit an error asks for a larger variance, above it for a smaller
    # one unless the error is vast.
    if log_var < 0 and error >= 1:
        assert (spread.grad < 0).all()
    if log_var > 0 and error <= 1:
        assert (spread.grad > 0).all()


def test_beyond_the_limits_only_the_way_back_has_a_gradient():
    values = torch.tensor([-9.0, -9.0, 0.5, 9.0, 9.0], requires_grad=True)
    pull = torch.tensor([-1.0, 1.0, 1.0, -1.0, 1.0])
    (limited_log_var(values) * pull).sum().backward()
    # Descent moves against the gradient: -1 raises the value, 1 lowers it.
    assert values.grad.tolist() == [-1.0, 0.0, 1.0, 0.0, 1.0]


def test_limit_is_exact_and_a_custom_one_is_taken():
    values = torch.tensor([-9.0, -4.0, 0.3, 4.0, 1e30])
    want = torch.tensor([-4.0, -4.0, 0.3, 4.0, 4.0])
    assert torch.equal(limited_log_var(values), want)
    assert torch.equal(limited_log_var(values, 2.0), values.clamp(-2, 2))
    assert torch.equal(limited_log_var(values, (-5.0, 1.0)), values.clamp(-5, 1))
    for wrong in (0.0, (1.0, 2.0), (-1.0, 0.0)):
        with pytest.raises(ValueError, match="log_var_limit"):
            limited_log_var(values, wrong)


def test_each_side_has_its_own_way_back():
    values = torch.tensor([-9.0, -3.0, 2.0, 2.0], requires_grad=True)
    pull = torch.tensor([1.0, 1.0, -1.0, 1.0])
    (limited_log_var(values, [-4, 1]) * pull).sum().backward()
    assert values.grad.tolist() == [0.0, 1.0, 0.0, 1.0]


@given(log_var_rows)
@few
def test_quality_against_a_loop(log_var):
    want_printed, want_log = [], []
    for row in log_var.tolist():
        held = [min(max(x, -4.0), 4.0) for x in row]
        mean = sum(math.exp(x) for x in held) / 4
        want_printed.append(1 - 1 / (1 + math.exp(-mean)))
        want_log.append(1 - 1 / (1 + math.exp(-sum(held) / 4)))
    printed = localization_quality(log_var)
    log = localization_quality(log_var, "log_variance")
    torch.testing.assert_close(printed, torch.tensor(want_printed).double())
    torch.testing.assert_close(log, torch.tensor(want_log).double())
    assert ((printed >= 0) & (printed < 0.5)).all()
    assert ((log > 0) & (log < 1)).all()


def test_quality_by_hand():
    # sigma^2 = 1, 1, 2, 4: mean 2, 1 - sigmoid(2) = 0.119203; the logs' mean is
    # (0 + 0 + ln 2 + ln 4) / 4 = 0.519860, 1 - sigmoid(0.519860) = 0.372885
    log_var = torch.tensor([[1.0, 1.0, 2.0, 4.0]]).log()
    assert localization_quality(log_var).item() == pytest.approx(0.119203, abs=1e-6)
    log = localization_quality(log_var, "log_variance").item()
    assert log == pytest.approx(0.372885, abs=1e-6)


def test_larger_variance_never_means_better_quality():
    log_var = torch.linspace(-3.9, 3, 40)[:, None].expand(-1, 4)
    for quality_on in ("variance", "log_variance"):
        quality = localization_quality(log_var, quality_on)
        assert (quality.diff() < 0).all()


def test_quality_per_class_keeps_the_leading_dimensions():
    log_var = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(1))
    got = localization_quality(log_var)
    torch.testing.assert_close(got[2, 1], localization_quality(log_var[2, 1][None])[0])
    assert got.shape == (5, 3)


def test_unknown_quality_is_named():
    with pytest.raises(ValueError, match=r"bbox_head.quality_on.*'entropy'"):
        localization_quality(torch.zeros(1, 4), "entropy")


def test_empty_inputs_stay_empty_and_in_the_graph():
    empty = torch.zeros(0, 4, requires_grad=True)
    loss = gaussian_kl_loss(empty, empty, torch.zeros(0, 4))
    assert loss.shape == (0, 4)
    loss.sum().backward()
    assert empty.grad is not None
    assert localization_quality(empty).shape == (0,)
