"""Losses reach the log without making the host wait for every step."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.hooks import CheckpointHook, Hook, LoggerHook, RuntimeInfoHook
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import Tensor

from ssod_mm.engine.run_log import EarlyLoggerHook
from ssod_mm.engine.telemetry_hooks import DIAGNOSTICS, unwrapped


def saves_now(runner: Runner, hook: Hook, batch_idx: int) -> bool:
    """Whether a hook writes a checkpoint after this training iteration."""
    if not isinstance(hook, CheckpointHook):
        return False
    if hook.by_epoch:
        return hook.end_of_epoch(runner.train_dataloader, batch_idx)
    return hook.every_n_train_iters(runner, hook.interval, hook.save_begin) or (
        hook.save_last and hook.is_last_train_iter(runner)
    )


def _reads_now(runner: Runner, hook: Hook, batch_idx: int) -> bool:
    """Whether a hook looks at the losses of this iteration.

    A hook of this project says so by a method ``reads_losses(runner)``.
    """
    if isinstance(hook, LoggerHook):
        ends = hook.end_of_epoch(runner.train_dataloader, batch_idx)
        early = isinstance(hook, EarlyLoggerHook) and hook.is_early(runner)
        return ends or early or hook.every_n_inner_iters(batch_idx, hook.interval)
    if hasattr(hook, "reads_losses"):
        return hook.reads_losses(runner)
    return saves_now(runner, hook, batch_idx)


class _Fetch:
    """Values on their way to the host.

    Args:
        outputs: scalars by name, on the device or not.
    """

    def __init__(self, outputs: Mapping[str, Any]) -> None:
        self.names = list(outputs)
        self.plain = {k: v for k, v in outputs.items() if not isinstance(v, Tensor)}
        tensors = [v for v in outputs.values() if isinstance(v, Tensor)]
        on_gpu = [value.device for value in tensors if value.is_cuda]
        device = on_gpu[0] if on_gpu else torch.device("cpu")
        waiting = [
            value.detach().to(device, torch.float32, non_blocking=True).reshape(())
            for value in tensors
        ]
        self.event = None
        self.copied = torch.stack(waiting) if waiting else torch.zeros(0)
        if self.copied.is_cuda:
            pinned = torch.empty(self.copied.shape, pin_memory=True)
            self.copied = pinned.copy_(self.copied, non_blocking=True)
            self.event = torch.cuda.Event()
            self.event.record()

    def values(self) -> dict[str, Any]:
        """The values, in the order in which they were given."""
        if self.event is not None:
            self.event.synchronize()
        copied = iter(self.copied.tolist())
        return {
            name: self.plain[name] if name in self.plain else next(copied)
            for name in self.names
        }


@HOOKS.register_module()
class LossInfoHook(RuntimeInfoHook):
    """``RuntimeInfoHook`` that lets the losses of a step arrive while the next begins.

    mmengine's reads every loss back at once and so lets the device run dry once in each
    iteration. Here the values of a step enter the message hub one iteration later;
    those of an iteration that is logged, noted in the record, saved or validated enter
    it at once, so that logs and checkpoints are the same. The norm of clipped
    gradients is treated alike. In those iterations alone the detector computes figures
    that take many operations (``wants_figures``).

    Args:
        late: whether to wait; None: on CUDA.

    Attributes:
        fetched: values that entered the message hub in this iteration, a dict for each
            of the iterations that they are of.
    """

    def __init__(self, late: bool | None = None) -> None:
        self.late = torch.cuda.is_available() if late is None else late
        self.fetched: list[dict[str, Any]] = []
        self._pending: deque[_Fetch] = deque()
        self._norms: dict[str, Tensor] = {}

    def before_train(self, runner: Runner) -> None:
        """Start with nothing pending, and keep gradient norms on the device."""
        super().before_train(runner)
        self._pending.clear()
        wrapper = runner.optim_wrapper
        clips = isinstance(wrapper, OptimWrapper) and wrapper.clip_grad_kwargs
        if self.late and clips:
            wrapper.clip_func = self._keeping_norm(wrapper)

    def _keeping_norm(self, wrapper: OptimWrapper) -> Any:
        """The wrapper's clipping, with nothing for it to read back."""
        clip = getattr(wrapper.clip_func, "clip", wrapper.clip_func)

        def clip_and_keep(parameters: list[Tensor], **kwargs: Any) -> None:
            norm = clip(parameters, **kwargs)
            if norm is not None:
                self._norms[wrapper.grad_name] = norm

        clip_and_keep.clip = clip
        return clip_and_keep

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Tell the detector whether its figures will be looked at.

        A figure that the log averages is computed in every iteration.
        """
        super().before_train_iter(runner, batch_idx, data_batch)
        model = unwrapped(runner.model)
        if hasattr(model, "wants_figures"):
            averaged = {cfg["data_src"] for cfg in runner.log_processor.custom_cfg}
            always = not averaged <= set(DIAGNOSTICS)
            model.wants_figures = always or self._is_read(runner, batch_idx)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Take the losses of this iteration, hand on those that have arrived."""
        if not self.late:
            super().after_train_iter(runner, batch_idx, data_batch, outputs)
            return
        self.fetched = []
        self._pending.append(_Fetch({**(outputs or {}), **self._norms}))
        self._norms = {}
        self._hand_on(runner, keep=0 if self._is_read(runner, batch_idx) else 1)

    def _is_read(self, runner: Runner, batch_idx: int) -> bool:
        """Whether somebody looks at the losses of this iteration."""
        return self.is_last_train_iter(runner) or any(
            _reads_now(runner, hook, batch_idx) for hook in runner.hooks
        )

    def _hand_on(self, runner: Runner, keep: int) -> None:
        while len(self._pending) > keep:
            values = self._pending.popleft().values()
            for name, value in values.items():
                runner.message_hub.update_scalar(f"train/{name}", value)
            self.fetched.append(values)

    def before_val(self, runner: Runner) -> None:
        """Hand on everything before a validation, whose end may save a checkpoint."""
        self._hand_on(runner, keep=0)
        super().before_val(runner)
