"""Random numbers of a training step that depend on its iteration alone."""

from __future__ import annotations

import random

import numpy as np
import torch
from mmdet.registry import HOOKS
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ssod_mm.maths.seeds import mix_seed


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed ``random``, NumPy and PyTorch before each training iteration.

    What is sampled inside a step (proposals, dropout) is then a function of seed,
    rank and iteration, so that a resumed run repeats the uninterrupted one loss by
    loss. It comes after all other hooks of its stage: a hook that draws numbers
    changes nothing.

    Args:
        seed: Seed of the run; the runner's seed when None.
    """

    priority = "LOWEST"

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: object = None
    ) -> None:
        """Seed all generators for the iteration that ``runner`` is about to do."""
        seed = runner.seed if self.seed is None else self.seed
        step_seed = mix_seed(seed, get_rank(), runner.iter)
        random.seed(step_seed)
        np.random.seed(step_seed)
        torch.manual_seed(step_seed)
