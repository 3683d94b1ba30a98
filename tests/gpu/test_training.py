"""Every method trains, resumes and runs in mixed precision on a GPU."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.config import ConfigDict
from mmengine.hooks import Hook

from ssod_mm.engine.speed import FastRunner
from tests.golden.steps import CASES
from tests.helpers import make_tiny_coco, tiny_mean_teacher_cfg

pytestmark = pytest.mark.usefixtures("mmdet_scope")
METHODS = tuple(CASES)


class Losses(Hook):
    def __init__(self):
        self.values = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.values.append(outputs["loss"].detach())


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp("gpu"), 6, size=(64, 96))


def train(data, folder, method, max_iters=4, resume=None, **wrapper):
    """Losses of a run that saves every second iteration, and its runner."""
    model = CASES[method]["plain"]()
    cfg = ConfigDict(tiny_mean_teacher_cfg(data, max_iters))
    cfg.default_hooks.checkpoint.interval = 2
    cfg.train_dataloader.sampler.batch_size = cfg.train_dataloader.batch_size
    cfg.optim_wrapper.update(wrapper)
    runner = FastRunner(
        model=model,
        work_dir=str(folder),
        train_dataloader=cfg.train_dataloader,
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        default_hooks=cfg.default_hooks,
        custom_hooks=[*cfg.custom_hooks, dict(type="StopOnNaNHook")],
        log_processor=cfg.log_processor,
        env_cfg=cfg.env_cfg,
        randomness=dict(seed=0),
        load_from=resume,
        resume=resume is not None,
        log_level="ERROR",
        default_scope="mmdet",
        experiment_name=str(folder)[1:].replace("/", "_"),
    )
    losses = Losses()
    runner.register_hook(losses)
    runner.train()
    return torch.stack(losses.values).cpu(), runner


@pytest.mark.parametrize("method", METHODS)
def test_training_and_resume(data, tmp_path, device, method):
    whole, runner = train(data, tmp_path / "whole", method)
    assert runner.train_dataloader.pin_memory
    assert next(runner.model.parameters()).device.type == device.type
    assert torch.isfinite(whole).all()
    checkpoint = Path(tmp_path, "whole", "iter_2.pth")
    resumed, other = train(data, tmp_path / "resumed", method, resume=str(checkpoint))
    # RoIAlign's backward pass adds up in any order.
    torch.testing.assert_close(resumed, whole[2:], rtol=5e-3, atol=5e-3)
    states = runner.model.state_dict(), other.model.state_dict()
    for key, value in states[0].items():
        torch.testing.assert_close(states[1][key], value, rtol=1e-2, atol=1e-2, msg=key)
    history = runner.message_hub.log_scalars["train/loss"].data[0]
    assert history.tolist() == pytest.approx(whole.tolist())


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("method", METHODS)
def test_mixed_precision(data, tmp_path, device, method, dtype):
    wrapper = dict(type="MixedPrecisionOptimWrapper", dtype=dtype, loss_scale=128.0)
    full, _ = train(data, tmp_path / "full", method, max_iters=1)
    mixed, runner = train(data, tmp_path / "mixed", method, max_iters=2, **wrapper)
    assert torch.isfinite(mixed).all()
    assert mixed[0] == pytest.approx(full[0].item(), rel=0.1)
    for parameter in runner.model.student.parameters():
        assert parameter.dtype == torch.float32
        assert torch.isfinite(parameter).all()
