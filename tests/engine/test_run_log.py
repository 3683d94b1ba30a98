"""What a user reads in the log of a run before and between its iterations."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config

from ssod_mm.cli.resolve import resolve_config
from ssod_mm.engine.run_log import EarlyLoggerHook, is_news
from ssod_mm.engine.runtime import build_runner
from tests.helpers import make_tiny_coco, tiny_supervised_cfg

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Output of a training of two iterations that logs every 50th."""
    root = tmp_path_factory.mktemp("log")
    cfg = Config(tiny_supervised_cfg(make_tiny_coco(root / "data", 4)))
    cfg.default_hooks = dict(logger=dict(type="LoggerHook", interval=50))
    runner = build_runner(resolve_config(cfg, seed=3, work_dir=str(root / "run")))
    runner.train()
    return Path(runner.work_dir)


def test_few_lines_come_before_the_first_loss(folder):
    (path,) = folder.glob("*/*.log")
    lines = path.read_text().splitlines()
    (first,) = [i for i, line in enumerate(lines) if "Iter(train) [1/2]" in line]
    assert "loss: " in lines[first]
    assert 0 < first <= 5
    assert "torch " in lines[0]
    assert "seed: 3" in lines[0]
    text = "\n".join(lines)
    alien = ("HardDisk", "FileClient", "SyncBN", "Exp name", "KaimingInit")
    assert not [word for word in alien if word in text]


def test_config_and_environment_are_in_files(folder):
    (environment,) = folder.glob("*/environment.txt")
    text = environment.read_text()
    assert "PyTorch: " in text
    assert "seed: 3" in text
    (weights,) = folder.glob("*/first_weights.txt")
    assert "backbone.conv1.weight" in weights.read_text()
    (config,) = folder.glob("*.py")
    assert Config.fromfile(str(config)).seed == 3


@pytest.mark.parametrize("start", [0, 300])
def test_the_first_and_the_tenth_iteration_are_logged(start):
    hook = EarlyLoggerHook(interval=50)
    hook._start = start
    logged = [
        done - start
        for done in range(start, start + 30)
        if hook.is_early(SimpleNamespace(iter=done))
    ]
    assert logged == [0, 9]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ('"HardDiskBackend" is the alias of "LocalBackend"', False),
        ("Checkpoints will be saved to /a", False),
        ("paramwise_options -- backbone.conv.weight:lr=1e-05", False),
        ("teacher.conv.bias is skipped since its requires_grad=False", False),
        ("head.conv is duplicate. It is skipped since bypass_duplicate=True", False),
        ("Load checkpoint from /a.pth", True),
        ("left out: image HardDiskBackend.png", True),
    ],
)
def test_only_lines_of_mmengine_that_say_nothing_are_dropped(text, kept):
    record = logging.LogRecord("a", logging.WARNING, "f", 1, text, (), None)
    assert is_news(record) == kept


def test_mmdet_is_imported_without_a_word():
    done = subprocess.run(
        [sys.executable, "-c", "import ssod_mm.evaluation"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == ""


@pytest.mark.parametrize("part", ["data", "evaluation", "engine"])
def test_the_silenced_import_comes_first(part):
    tree = ast.parse((ROOT / "ssod_mm" / part / "__init__.py").read_text())
    first = next(node for node in tree.body if isinstance(node, ast.Import))
    assert [name.name for name in first.names] == ["ssod_mm.mmdet_datasets"]
    assert first is tree.body[1]
