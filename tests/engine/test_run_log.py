"""What a user reads in the log of a run before and between its iterations."""

from __future__ import annotations

import ast
import logging
import subprocess
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.config import Config
from mmengine.runner import Runner

from ssod_mm.cli.resolve import resolve_config
from ssod_mm.engine.class_hook import ClassCountHook
from ssod_mm.engine.run_log import (
    EarlyLoggerHook,
    NewsFilter,
    TerseRunner,
    ignore_known_warnings,
    is_news,
)
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


def test_a_line_that_student_and_teacher_both_say_comes_once():
    lines = ["load model from: a", "load model from: a", "Exp name: x", "b", "b", "c"]
    lines += ["load model from: a"]
    news = NewsFilter()
    records = [logging.LogRecord("a", 20, "f", 1, text, (), None) for text in lines]
    kept = [record.getMessage() for record in records if news.filter(record)]
    assert kept == ["load model from: a", "b", "c", "load model from: a"]


@pytest.mark.parametrize(
    ("hooks", "options", "said"),
    [
        ([ClassCountHook()], {}, ""),
        ([ClassCountHook()], dict(allow_partial_load=True), "differ\n"),
        ([], {}, "differ\n"),
    ],
)
def test_what_loading_prints_is_heard_where_nothing_was_checked(
    monkeypatch, capsys, hooks, options, said
):
    monkeypatch.setattr(
        Runner, "load_checkpoint", lambda *_: sys.stdout.write("differ\n") and {}
    )
    runner = object.__new__(TerseRunner)
    runner._hooks, runner.cfg = hooks, Config(options)
    assert runner.load_checkpoint("a.pth") == {}
    assert capsys.readouterr().out == said


@pytest.mark.parametrize(
    "known",
    [
        "torch.meshgrid: in an upcoming release, it will be required to pass",
        "DeprecationWarning: `num_anchors` is deprecated, for consistency or also use",
    ],
)
def test_a_warning_about_a_call_of_mmdet_is_left_out(known):
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        ignore_known_warnings()
        warnings.warn(known, UserWarning, stacklevel=1)
        warnings.warn("torch.other", UserWarning, stacklevel=1)
    assert [str(warning.message) for warning in heard] == ["torch.other"]


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
