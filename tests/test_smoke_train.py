"""Every config and every row trains: one real iteration and validation, in small."""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from ssod_mm.cli.resolve import resolve_config
from ssod_mm.engine.runtime import build_runner
from ssod_mm.sweep.spec import find_sweep, load_sweep
from ssod_mm.sweep.targets import load_target
from tests.config_runs import (
    ROOT_OF_DATASET,
    make_layouts,
    parse_name,
    shipped_configs,
    shrink,
)


class Recorder(Hook):
    """Keeps what each training iteration returned."""

    def __init__(self) -> None:
        self.outputs: list[dict] = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.outputs.append(dict(outputs))


@pytest.fixture(scope="module")
def layouts(tmp_path_factory) -> Path:
    return make_layouts(tmp_path_factory.mktemp("layouts"))


@cache
def targets() -> dict[str, str]:
    """What ``tools/train.py`` takes, configs and rows, with the config behind it."""
    configs = {str(path): path.stem for path in shipped_configs()}
    rows = {
        f"{path.stem}:{row.key}": Path(row.config).stem
        for path in sorted(find_sweep("shapes").parent.glob("*.py"))
        for row in load_sweep(path).rows
        if row.of is not None
    }
    return {**configs, **rows}


@pytest.mark.slow
@pytest.mark.parametrize("target", targets(), ids=lambda target: Path(target).stem)
def test_one_iteration(target: str, layouts: Path, tmp_path: Path, monkeypatch):
    name = parse_name(targets()[target])
    root = layouts / ROOT_OF_DATASET[name["dataset"]]
    monkeypatch.setenv("COCO_ROOT", str(layouts / "voc"))
    torch.set_num_threads(1)

    options = {"data_root": str(root)}
    cfg = load_target(target)
    cfg = resolve_config(cfg, fold=2, cfg_options=options, work_dir=str(tmp_path))
    cfg = resolve_config(shrink(cfg))
    runner = build_runner(cfg)
    recorder = Recorder()
    runner.register_hook(recorder)
    runner.train()

    (outputs,) = recorder.outputs
    losses = {
        key: float(value.detach().sum())
        for key, value in outputs.items()
        if "loss" in key
    }
    assert all(math.isfinite(value) for value in losses.values()), losses
    assert losses["loss"] > 0
    semi = name["slug"] != "supervised"
    branches = ("sup_", "unsup_") if semi else ("",)
    found = {b for b in branches if any(k.startswith(f"{b}loss_") for k in losses)}
    union = cfg.train_dataloader.sampler.source_ratio == [1]
    assert found if union else found == set(branches), losses
    results = runner.message_hub.log_scalars
    best = cfg.default_hooks.checkpoint.save_best
    assert f"val/{best}" in results
    assert list(tmp_path.glob("best_*.pth"))
    if name["slug"] == "mean_teacher":
        assert outputs["pseudo_per_image"] > 0
        assert (tmp_path / "pseudo_labels").is_dir()
