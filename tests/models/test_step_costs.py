"""How many operations a step starts, and how often its host waits for the device.

A GPU starts about one kernel for each operation that is no view, and the step of a
small batch takes as long as Python needs to start them. The bounds are a tenth above
what was counted, so that a later change cannot lose unseen what batched heads gain.
"""

from __future__ import annotations

from contextlib import nullcontext

import pytest
import torch

from ssod_mm.apis.step_costs import CountedOperations, Phases
from tests.golden.steps import CASES, _batch
from tests.models.builders import total

pytestmark = pytest.mark.usefixtures("mmdet_scope")


def costs(method: str) -> Phases:
    """Costs of the losses of one step and of their gradients, NMS as on a GPU."""
    model, phases = CASES[method]["plain"](), Phases()
    model.wants_figures = False  # as in iterations that are not logged
    for watch in (nullcontext(), CountedOperations(phases)):
        with watch:
            losses = model.loss(*_batch(0))
            total(losses).backward()
    return phases


# Method -> bounds on operations and waits.
BOUNDS = {
    "mean_teacher": (1385, 9),
    "certainty": (1530, 9),
    "lerprc": (1555, 10),
    "dtg": (2135, 16),
}


@pytest.mark.parametrize(
    ("method", "figures"),
    [
        (
            "lerprc",
            {f"unsup_{key}" for key in ("ler_quality", "prc_hull_growth")},
        ),
        ("dtg", {"rpn_rank_agreement", "rcnn_clusters", "rcnn_ambiguous"}),
    ],
)
def test_without_figures_the_losses_are_the_same(method, figures):
    model, found = CASES[method]["plain"](), {}
    for wanted in (True, False):
        torch.manual_seed(0)
        model.wants_figures = wanted
        found[wanted] = model.loss(*_batch(0))
    assert figures <= set(found[True]) - set(found[False])
    assert not any("loss" in key for key in set(found[True]) - set(found[False]))
    for key, value in found[False].items():
        assert torch.equal(torch.as_tensor(value), torch.as_tensor(found[True][key]))


@pytest.mark.parametrize("method", BOUNDS)
def test_a_step_stays_within_its_bounds(method):
    phases = costs(method)
    found = phases.operations.total(), phases.waits.total()
    for number, bound in zip(found, BOUNDS[method], strict=True):
        assert number <= bound
        # A bound that nothing comes near would hold nothing.
        assert number > 0.8 * bound
