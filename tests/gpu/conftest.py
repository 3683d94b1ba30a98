"""Tests of what only a GPU can show; ``make test-gpu`` runs them."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import torch

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.gpu)
            if not torch.cuda.is_available():
                item.add_marker(pytest.mark.skip(reason="there is no CUDA device"))


@pytest.fixture
def device():
    return torch.device("cuda")


@pytest.fixture
def _same_draws():
    """Let both devices draw the same random numbers: those of the CPU."""

    def on_cpu(draw):
        def drawn(*args, device=None, **kwargs):
            return draw(*args, **kwargs).to(device or "cpu")

        return drawn

    patched = [
        mock.patch.object(torch, name, on_cpu(getattr(torch, name)))
        for name in ("rand", "randn", "randint", "randperm")
    ]
    for patch in patched:
        patch.start()
    yield
    for patch in patched:
        patch.stop()
