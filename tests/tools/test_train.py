"""tools/train.py: its options, a short training, and one line per mistake."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from tests.helpers import make_tiny_coco, tiny_supervised_cfg, write_config
from tests.tools.semi_checkpoints import call_tool


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp("train"), 4)


@pytest.fixture
def config(data, tmp_path):
    return write_config(tiny_supervised_cfg(data), tmp_path / f"{tmp_path.name}.py")


def fails_with(capsys, *arguments):
    """The single line that train.py prints, after which it ends with code 2."""
    with pytest.raises(SystemExit) as caught:
        call_tool("train", *arguments)
    assert caught.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    return lines[-1]


def test_trains_and_leaves_config_log_and_checkpoint(config, tmp_path):
    call_tool("train", config, "--work-dir", tmp_path / "out", "--seed", 3)
    out = tmp_path / "out"
    checkpoint = torch.load(out / "iter_2.pth", weights_only=False)
    assert checkpoint["meta"]["iter"] == 2
    assert checkpoint["meta"]["seed"] == 3
    assert Config.fromfile(str(out / config.name)).seed == 3
    (scalars,) = out.glob("*/vis_data/scalars.json")
    steps = [json.loads(line) for line in scalars.read_text().splitlines()]
    assert [step["step"] for step in steps] == [1, 2]
    assert all(step["loss"] > 0 for step in steps)
    (log,) = out.glob("*/*.log")
    assert "lr 0.01 x 2/8 = 0.0025 (batch 2 x 1;" in log.read_text()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], dict(resume=None, launcher="none")),
        (["--amp"], dict(optim_wrapper=dict(type="MixedPrecisionOptimWrapper"))),
        (["--amp", "bf16"], dict(optim_wrapper=dict(dtype="bfloat16"))),
        (["--no-auto-scale-lr"], dict(auto_scale_lr=dict(enable=False))),
        (["--auto-scale-lr"], dict(auto_scale_lr=dict(enable=True))),
        (["--resume"], dict(resume=True, load_from=None)),
        (["--fold", "2", "--percent", "0.5"], dict(fold=2, percent=0.5)),
        (["--percent", "5.0"], dict(work_dir_ends="p5-seed0")),
        (["--cfg-options", "train_cfg.max_iters=9"], dict(train_cfg=dict(max_iters=9))),
        (["--launcher", "pytorch"], dict(launcher="pytorch")),
    ],
)
def test_options_reach_the_config(config, monkeypatch, options, expected):
    built = []

    def build(cfg):
        built.append(cfg)
        raise SystemExit

    monkeypatch.setattr("ssod_mm.engine.runtime.build_runner", build)
    with pytest.raises(SystemExit):
        call_tool("train", config, *options)
    (cfg,) = built
    ending = expected.pop("work_dir_ends", "")
    assert cfg.work_dir.endswith(ending)
    for key, value in expected.items():
        found = cfg.get(key)
        if isinstance(value, dict):
            assert {name: found[name] for name in value} == value
        else:
            assert found == value


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--percent", "101"], r"error: percent \(--percent\) must .* not 101$"),
        (["--resume", "absent.pth"], r"error: --resume: there is no .* absent\.pth$"),
        (
            ["--cfg-options", "train_dataloader.sampler.source_ratio=[1,1]"],
            r"error: .*source_ratio has 2 numbers, but .* has 1 source",
        ),
        (
            ["--cfg-options", "train_dataloader.sampler.source_ratio=[4]", "seed=-1"],
            r"error: seed \(--seed\)",
        ),
        (
            ["--cfg-options", "model.backbone.type=ResNetX"],
            r"error: ResNetX is not in the mmdet::model registry",
        ),
    ],
)
def test_mistake_is_one_line(config, tmp_path, capsys, options, message):
    line = fails_with(capsys, config, "--work-dir", tmp_path / "out", *options)
    assert re.search(message, line)


def test_unknown_config_and_missing_split_are_one_line(data, tmp_path, capsys):
    assert "no config absent" in fails_with(capsys, "absent")
    content = tiny_supervised_cfg(data)
    content.update(fold=1, percent=10)
    dataset = content["train_dataloader"]["dataset"]["datasets"][0]
    dataset["ann_file"] = "annotations/semi/instances_train.{fold}@{percent}.json"
    path = write_config(content, tmp_path / "split.py")
    line = fails_with(capsys, path, "--fold", "4")
    source = Path(data, "annotations", "instances_train.json")
    assert line.endswith(
        f"make it with: python tools/make_splits.py --ann {source} "
        "--percent 10 --fold 4"
    )


def test_check_writes_nothing(config, tmp_path, capsys):
    call_tool("train", config, "--work-dir", tmp_path / "out", "--check")
    assert "all is in order: " in capsys.readouterr().out
    assert not (tmp_path / "out").exists()


def test_traceback_on_request(config, monkeypatch):
    monkeypatch.setenv("SSOD_MM_TRACEBACK", "1")
    with pytest.raises(ValueError, match="percent"):
        call_tool("train", config, "--percent", "0")
