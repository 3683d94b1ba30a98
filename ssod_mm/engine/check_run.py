"""All that a training refuses before its first iteration, without training."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS, MODELS
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ssod_mm.engine.checkpoint_hook import newest_checkpoint
from ssod_mm.engine.runtime import build_runner, import_custom_modules


class InOrder(Exception):  # noqa: N818
    """Nothing stands in the way of a training.

    Attributes:
        summary: what there is to train from, in a few words.
    """

    def __init__(self, summary: str) -> None:
        super().__init__(summary)
        self.summary = summary


@HOOKS.register_module()
class StopBeforeTrainingHook(Hook):
    """Ends a training when all other hooks have begun it, after a look at the data."""

    priority = "LOWEST"

    def before_train(self, runner: Runner) -> None:
        """Make one batch and one image of the validation.

        Raises:
            InOrder: always.
        """
        next(iter(runner.train_dataloader))
        parts = [f"{len(runner.train_dataloader.dataset)} images to train"]
        if runner.val_loop is not None:
            dataset = runner.val_dataloader.dataset
            dataset[0]
            parts.append(f"{len(dataset)} to validate")
        classes = runner.train_dataloader.dataset.metainfo.get("classes") or ()
        raise InOrder(f"{', '.join(parts)}, {len(classes)} classes")


def check_run(cfg: Config, before_first_phase: bool = False) -> str:
    """Build all that a training needs, load its weights and make a batch.

    Nothing is written but in a folder that is gone afterwards.

    Args:
        cfg: a config that ``resolve_config`` completed; it is not changed.
        before_first_phase: whether the checkpoint that the training continues from is
            still to be trained: random weights stand in for it.

    Returns:
        What there is to train from, in a few words.

    Raises:
        UserError: what the training would refuse.
        FileNotFoundError: a file is missing.
    """
    cfg = copy.deepcopy(cfg)
    cfg.launcher = "none"
    cfg.log_level = "WARNING"
    if cfg.get("resume") and not cfg.get("load_from"):
        path = newest_checkpoint(cfg.work_dir)
        cfg.resume, cfg.load_from = path is not None, path and str(path)
    for stage in ("train", "val", "test"):
        loader = cfg.get(f"{stage}_dataloader")
        if loader is not None:
            loader.num_workers = 0
            loader.persistent_workers = False
            loader.pop("prefetch_factor", None)
    stop = dict(type="StopBeforeTrainingHook")
    cfg.custom_hooks = [*(cfg.get("custom_hooks") or []), stop]
    with tempfile.TemporaryDirectory() as folder:
        cfg.work_dir = folder
        # mmengine keeps loggers and the like by the run's name.
        cfg.experiment_name = Path(folder).name
        if before_first_phase and not cfg.get("resume"):
            cfg.load_from = _stand_in(cfg, Path(folder))
        try:
            build_runner(cfg).train()
        except InOrder as done:
            return done.summary
    raise AssertionError("a training ended before it began")


def _stand_in(cfg: Config, folder: Path) -> Any:
    """A checkpoint of random weights, in place of one that is not trained yet."""
    import_custom_modules(cfg)
    init_default_scope(cfg.get("default_scope") or "mmdet")
    path = folder / "not_trained.pth"
    torch.save({"state_dict": MODELS.build(cfg.model).state_dict()}, path)
    return str(path)
