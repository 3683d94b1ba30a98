"""Stop a run whose loss or weights are no longer finite, before anything is spoilt."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import chain
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor

from ssod_mm.cli.run_folders import numbered_checkpoints
from ssod_mm.engine.loss_hook import LossInfoHook, saves_now
from ssod_mm.errors import UserError


class NonFiniteTrainingError(UserError, FloatingPointError):
    """The loss or the weights became NaN or infinite."""


def non_finite_names(named_tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Names of the floating tensors that hold a NaN or an infinity.

    All tensors of a device are checked with one synchronisation.

    Args:
        named_tensors: pairs of name and tensor of any shape and dtype.
    """
    by_device: dict[torch.device, list[tuple[str, Tensor]]] = {}
    for name, tensor in named_tensors:
        if tensor.is_floating_point():
            by_device.setdefault(tensor.device, []).append((name, tensor.detach()))
    bad: list[str] = []
    for pairs in by_device.values():
        finite = torch.stack([torch.isfinite(tensor).all() for _, tensor in pairs])
        bad += [
            name for (name, _), ok in zip(pairs, finite.tolist(), strict=True) if not ok
        ]
    return bad


@HOOKS.register_module()
class StopOnNaNHook(Hook):
    """Stops a run at the first NaN or infinite loss, with the last checkpoint intact.

    The loss values are those that the log has fetched anyway, so the check costs no
    synchronisation with the device; on CUDA they arrive one iteration late. The hook
    runs before the teacher's update and before checkpoints: no NaN is merged into a
    teacher that gets saved. Where a checkpoint is due or a validation begins, the loss
    of that iteration has arrived and the weights are checked too, because the step
    after a finite loss may have spoilt them.

    Args:
        interval: check the loss every so many iterations.

    Raises:
        NonFiniteTrainingError: a ``FloatingPointError`` that names the iteration, the
            loss terms, the learning rate and the last checkpoint.
    """

    # after RuntimeInfoHook (VERY_HIGH), before the teacher's update and checkpoints
    priority = "HIGH"

    def __init__(self, interval: int = 1) -> None:
        if interval < 1:
            raise UserError(f"StopOnNaNHook.interval={interval} must be at least 1.")
        self.interval = interval
        self._training = False

    def before_train(self, runner: Runner) -> None:
        """From here on validations belong to a training."""
        self._training = True

    def after_train(self, runner: Runner) -> None:
        """Leave later validations alone."""
        self._training = False

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Check the loss, and the weights where a checkpoint is due."""
        due = any(saves_now(runner, hook, batch_idx) for hook in runner.hooks)
        if due or self.every_n_train_iters(runner, self.interval):
            self._check_loss(runner, outputs or {})
        if due:
            self._check_weights(runner, runner.iter + 1)

    def before_val_epoch(self, runner: Runner) -> None:
        """Check the weights before they are evaluated and saved as the best."""
        if self._training:
            self._check_weights(runner, runner.iter)

    def _arrived(self, runner: Runner, outputs: dict) -> list[dict[str, float]]:
        """Losses that have reached the host; those in ``outputs`` may not have."""
        for hook in runner.hooks:
            if isinstance(hook, LossInfoHook) and hook.late:
                return hook.fetched
        scalars = runner.message_hub.log_scalars
        known = [key for key in outputs if f"train/{key}" in scalars]
        return [{key: scalars[f"train/{key}"].current() for key in known}]

    def _check_loss(self, runner: Runner, outputs: dict) -> None:
        for values in self._arrived(runner, outputs):
            bad = {
                key: value
                for key, value in values.items()
                if "loss" in key and not math.isfinite(value)
            }
            if not bad:
                continue
            terms = [f"{key}={value}" for key, value in bad.items() if key != "loss"]
            self._stop(
                runner,
                f"The loss is not finite: {_some(terms or ['loss'])}.",
                runner.iter + 1,
            )

    def _check_weights(self, runner: Runner, iteration: int) -> None:
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        bad = non_finite_names(chain(model.named_parameters(), model.named_buffers()))
        if bad:
            self._stop(runner, f"The weights are not finite: {_some(bad)}.", iteration)

    def _stop(self, runner: Runner, what: str, iteration: int) -> None:
        rates = runner.optim_wrapper.get_lr()
        rates = ", ".join(f"{rate[0]:.3g}" for rate in rates.values() if rate)
        last = _last_checkpoint(runner)
        kept = (
            f"The last good checkpoint is {last}."
            if last
            else "No checkpoint had been written yet."
        )
        raise NonFiniteTrainingError(
            f"Training stopped at iteration {iteration}. {what} Learning rate: "
            f"{rates}. {kept} What helps: a lower optim_wrapper.optimizer.lr (it must "
            "follow the batch size: auto_scale_lr.enable=True), a longer warm-up, "
            "optim_wrapper.clip_grad, a lower model.semi_train_cfg.unsup_weight."
        )


def _some(names: list[str], limit: int = 8) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def _last_checkpoint(runner: Runner) -> str | None:
    """Path of the newest checkpoint of this run that exists."""
    paths = numbered_checkpoints(runner.work_dir)
    return str(paths[0]) if paths else None
