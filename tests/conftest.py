"""What every test starts from: few threads, the repository on the path."""

import os
import sys
from pathlib import Path
from unittest import mock

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import pytest
import torch
from mmengine.registry import DefaultScope

torch.set_num_threads(1)
cv2.setNumThreads(0)  # its threads do not survive the forks of loader workers


@pytest.fixture(scope="session", autouse=True)
def _config_dumps_without_layout():
    """Let runners write their config unformatted.

    A runner formats it with yapf five times, which takes longer than a tiny training.
    """
    with mock.patch("yapf.yapflib.yapf_api.FormatCode", lambda text, **_: (text, True)):
        yield


@pytest.fixture(scope="session", autouse=True)
def _datasets_without_garbage_collection():
    """Let data sets leave the collection of garbage to Python.

    mmengine's collect it when they are built: half a second for each loader of a runner
    once everything is imported.
    """
    with mock.patch("mmengine.dataset.base_dataset.gc"):
        yield


@pytest.fixture(scope="session")
def _mmdet_types():
    """Registers the types of mmdet, once."""
    from mmdet.utils import register_all_modules

    register_all_modules(init_default_scope=False)
    DefaultScope.get_instance("tests", scope_name="mmdet")


@pytest.fixture
def mmdet_scope(_mmdet_types):
    """Let registries look types up in mmdet, whatever the last runner looked in."""
    with DefaultScope.overwrite_default_scope("mmdet"):
        yield
