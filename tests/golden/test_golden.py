"""The losses of each method's first steps are those that were stored."""

from __future__ import annotations

import pytest

from tests.golden.steps import CASES, losses_of_steps, stored

pytestmark = pytest.mark.usefixtures("mmdet_scope")
ALL = [(method, name) for method, variants in CASES.items() for name in variants]


@pytest.mark.parametrize(("method", "name"), ALL)
def test_losses_are_those_stored(method, name):
    steps = losses_of_steps(CASES[method][name])
    expected = stored(method)[name]
    assert [set(step) for step in steps] == [set(step) for step in expected]
    for step, before in zip(steps, expected, strict=True):
        assert step == pytest.approx(before, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("method", CASES)
def test_the_stored_steps_learn_from_the_teacher(method):
    for steps in stored(method).values():
        assert len(steps) == 2
        for step in steps:
            assert any(v > 0 for k, v in step.items() if k.startswith("unsup_loss"))
            assert step["pseudo_per_image"] > 0
