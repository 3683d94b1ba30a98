"""How many operations a step starts, and how often its host waits for the device.

A GPU starts about one kernel for each operation that is no view, and the step of a
small batch takes as long as Python needs to start them. The bounds are a tenth above
what was counted, so that a later change cannot lose unseen what batched heads gain.
"""

from __future__ import annotations

from contextlib import ExitStack
from unittest.mock import patch

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ssod_mm.models.batched import proposals
from tests.golden.steps import CASES, _batch
from tests.models.builders import total

pytestmark = pytest.mark.usefixtures("mmdet_scope")

WAITS = {"_local_scalar_dense", "nonzero", "masked_select", "_unique2", "bincount"}
BY_INDEX = {"index", "index_put", "index_put_", "_index_put_impl_"}


class Costs(TorchDispatchMode):
    """Counts operations that are no views, and those for which a GPU's host waits."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0
        self.waits = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        if not func.is_view:
            self.operations += 1
        if name in BY_INDEX:
            masks = [i for i in args[1] if i is not None and i.dtype == torch.bool]
            constant = name != "index" and args[2].numel() == 1
            self.waits += 0 if constant else len(masks)
        self.waits += name in WAITS
        return func(*args, **(kwargs or {}))


def costs(method: str) -> Costs:
    """Costs of the losses of one step and of their gradients, NMS as on a GPU."""
    model = CASES[method]["plain"]()
    counted = Costs()

    def fetching(fetch):
        def fetched(tensor):
            counted.waits += 1
            return fetch(tensor)

        return fetched

    with ExitStack() as stack:
        stack.enter_context(patch.object(proposals, "in_one_call", lambda _boxes: True))
        for warm in (True, False):
            if not warm:
                for name in ("tolist", "cpu"):
                    fetch = fetching(getattr(torch.Tensor, name))
                    stack.enter_context(patch.object(torch.Tensor, name, fetch))
                stack.enter_context(counted)
            losses = model.loss(*_batch(0))
            total(losses).backward()
    return counted


# Method -> bounds on operations and waits.
BOUNDS = {
    "mean_teacher": (2280, 25),
    "certainty": (2530, 25),
    "lerprc": (2600, 35),
    "dtg": (4060, 88),
}


@pytest.mark.parametrize("method", BOUNDS)
def test_a_step_stays_within_its_bounds(method):
    found = costs(method)
    operations, waits = BOUNDS[method]
    assert found.operations <= operations
    assert found.waits <= waits
    # A bound that nothing comes near would hold nothing.
    assert found.operations > 0.8 * operations
    assert found.waits > 0.8 * waits
