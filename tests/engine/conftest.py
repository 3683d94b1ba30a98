"""Tiny semi-supervised data for the tests of hooks and loops."""

from pathlib import Path

import pytest

from tests.engine.semi_runs import make_semi_coco


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_semi_coco(tmp_path_factory.mktemp("coco"))
