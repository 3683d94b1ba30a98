"""Every shipped config trains: one real iteration and one validation, in small."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook

from ssod_mm.engine.runtime import build_runner, load_config, resolve_config
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


@pytest.mark.slow
@pytest.mark.parametrize("path", shipped_configs(), ids=lambda path: path.stem)
def test_one_iteration(path: Path, layouts: Path, tmp_path: Path, monkeypatch):
    name = parse_name(path.stem)
    root = layouts / ROOT_OF_DATASET[name["dataset"]]
    monkeypatch.setenv("COCO_ROOT", str(layouts / "voc"))
    torch.set_num_threads(1)

    options = {"data_root": str(root)}
    cfg = resolve_config(
        shrink(load_config(path, options)), work_dir=str(tmp_path), fold=2
    )
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
