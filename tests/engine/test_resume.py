"""A resumed run repeats the uninterrupted one, loss by loss."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from ssod_mm.cli.lookup import load_config
from ssod_mm.engine.runtime import build_runner, resolve_config
from tests.helpers import make_tiny_coco, tiny_mean_teacher_cfg, tiny_supervised_cfg


def mixing_mean_teacher_cfg(root, max_iters):
    """The mean teacher with one labelled and four unlabelled images, mixed up.

    Its batch norm is frozen, and so folded into convolutions.
    """
    cfg = tiny_mean_teacher_cfg(root, max_iters, batch_size=5)
    frozen = dict(norm_cfg=dict(type="BN"), norm_eval=True)
    cfg["model"]["detector"]["backbone"].update(frozen)
    cfg["train_dataloader"]["sampler"]["source_ratio"] = [1, 4]
    cfg["model"]["mixing"] = dict(pseudo_mixup=0.5, pseudo_mosaic=0.5)
    return cfg


def averaged_cfg(root, max_iters):
    """Labelled images alone, with the average of the weights of the short configs."""
    cfg = tiny_supervised_cfg(root, max_iters)
    cfg["default_hooks"]["ema"] = load_config(SHORT).default_hooks.ema
    return cfg


SHORT = "_base_/short.py"
CONFIGS = dict(
    supervised=tiny_supervised_cfg,
    averaged=averaged_cfg,
    mean_teacher=mixing_mean_teacher_cfg,
)
NUM_ITERATIONS, CHECKPOINT_AT = 6, 3


# On CUDA, RoIAlign's backward pass adds up in any order.
TOLERANCE = 1e-3 if torch.cuda.is_available() else 0.0


def assert_same(found, expected):
    """Losses of some iterations are equal, bit by bit on the CPU."""
    assert [iteration for iteration, _ in found] == [i for i, _ in expected]
    for (_, values), (_, others) in zip(found, expected, strict=True):
        assert values == pytest.approx(others, rel=TOLERANCE, abs=TOLERANCE)


class RecordLosses(Hook):
    """Keep every number of the log and the images of every iteration."""

    def __init__(self) -> None:
        self.losses = []
        self.images = []

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        values = {key: float(value) for key, value in outputs.items()}
        self.losses.append((runner.iter, values))
        samples = data_batch["data_samples"]
        if isinstance(samples, dict):
            samples = [s for branch in samples.values() for s in branch]
        self.images.append([s.img_id for s in samples if s is not None])


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_tiny_coco(tmp_path_factory.mktemp("resume"), 7, size=(64, 96))


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory):
    """``whole_run(name, num_workers)``: record and runner of a run that is not cut."""

    @functools.cache
    def run(name, num_workers):
        cfg = config_of(name, data, num_workers)
        return train(cfg, tmp_path_factory.mktemp(f"{name}_{num_workers}"))

    return run


def config_of(name, data, num_workers):
    cfg = CONFIGS[name](data, max_iters=NUM_ITERATIONS)
    cfg["train_dataloader"]["num_workers"] = num_workers
    cfg["default_hooks"]["checkpoint"]["interval"] = CHECKPOINT_AT
    return cfg


def train(cfg, work_dir, resume=None):
    cfg = resolve_config(Config(cfg), work_dir=str(work_dir), resume=resume)
    cfg.experiment_name = str(work_dir)[1:].replace("/", "_")
    cfg.visualizer.name = cfg.experiment_name
    runner = build_runner(cfg)
    record = RecordLosses()
    runner.register_hook(record)
    runner.train()
    return record, runner


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("name", CONFIGS)
def test_resumed_run_equals_the_uninterrupted_one(
    data, whole_run, tmp_path, name, num_workers
):
    whole, whole_runner = whole_run(name, num_workers)
    checkpoint = Path(whole_runner.work_dir, f"iter_{CHECKPOINT_AT}.pth")
    torch.rand(17)  # whatever happens in between
    cfg = config_of(name, data, num_workers)
    resumed, resumed_runner = train(cfg, tmp_path, resume=str(checkpoint))

    assert [iteration for iteration, _ in whole.losses] == list(range(NUM_ITERATIONS))
    assert_same(resumed.losses, whole.losses[CHECKPOINT_AT:])
    assert resumed.images == whole.images[CHECKPOINT_AT:]
    # the comparison would be idle if iterations were alike
    assert len({values["loss"] for _, values in whole.losses}) == NUM_ITERATIONS

    for weights in ("state_dict", "ema_state_dict")[: 1 + (name == "averaged")]:
        last, again = (
            torch.load(
                Path(runner.work_dir, f"iter_{NUM_ITERATIONS}.pth"), weights_only=False
            )[weights]
            for runner in (whole_runner, resumed_runner)
        )
        for key, value in again.items():
            torch.testing.assert_close(
                value, last[key], rtol=TOLERANCE, atol=TOLERANCE, msg=key
            )


@pytest.mark.parametrize("name", CONFIGS)
def test_losses_do_not_depend_on_the_number_of_workers(whole_run, name):
    alone, _ = whole_run(name, 0)
    with_workers, _ = whole_run(name, 2)
    assert_same(alone.losses, with_workers.losses)


def test_resume_of_the_newest_checkpoint_goes_on_where_it_ended(data, tmp_path):
    cfg = tiny_supervised_cfg(data, max_iters=2)
    train(cfg, tmp_path)
    cfg["train_cfg"]["max_iters"] = 3
    record, _ = train(cfg, tmp_path, resume=True)
    assert [iteration for iteration, _ in record.losses] == [2]
