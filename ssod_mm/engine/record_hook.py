"""Writes the record of a run while it trains."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmengine.dist import (
    all_reduce,
    broadcast_object_list,
    get_world_size,
    is_main_process,
)
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ssod_mm.cli.fingerprint import config_sha256
from ssod_mm.engine.provenance import (
    annotation_digests,
    device_name,
    git_state,
    package_versions,
)
from ssod_mm.errors import UserError
from ssod_mm.reporting.records import RECORD_FILE, RunRecord, read_record

_STATE = "run_record"
_LOGGED = ("loss", "lr", "pseudo_", "unsup_weight")
_MB = 2**20


@HOOKS.register_module()
class RunRecordHook(Hook):
    """Keeps ``record.json`` in the work folder: what the run is and what it measured.

    The file is replaced after each validation and at the end. A resumed run continues
    it: what lies after the checkpoint is dropped, wall time adds up, and a validation
    that was cut off is made up for.

    Args:
        num_points: losses and pseudo-label figures are noted about so many times.

    Raises:
        ValueError: ``num_points`` below 1.
    """

    # after the hooks that log figures, before the one that saves checkpoints
    priority = "LOW"

    def __init__(self, num_points: int = 200) -> None:
        if num_points < 1:
            raise UserError(f"RunRecordHook.num_points={num_points} must be positive.")
        self.num_points = num_points
        self.record: RunRecord | None = None
        self._restored: dict[str, Any] | None = None
        self._earlier_s = 0.0

    def before_run(self, runner: Runner) -> None:
        """Register what comes after the hook that saves the best checkpoint."""
        runner.register_hook(_ValidationHook(self), priority="LOWEST")

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Take the record over from a checkpoint to resume from."""
        if runner._resume:
            self._restored = checkpoint.get(_STATE)

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Put into the checkpoint what a resumed run cannot measure again."""
        if self.record is not None:
            checkpoint[_STATE] = {
                "training": {k: list(v) for k, v in self.record.training.items()},
                "wall_time_s": self._wall_time(),
                "peak_memory_mb": self.record.peak_memory_mb,
            }

    def before_train(self, runner: Runner) -> None:
        """Begin or continue the record; make up for a validation that was cut off."""
        self._start = time.monotonic()
        self.interval = max(1, runner.max_iters // self.num_points)
        missed = False
        if is_main_process():
            self.record = _described(runner)
            continued = self._continue(runner) if runner.iter else False
            missed = continued and self._validation_is_missing(runner)
            self._write(runner)
        decision = [missed]
        broadcast_object_list(decision)
        if decision[0]:
            runner.logger.info(
                f"The validation at iteration {runner.iter} was cut off: repeated."
            )
            runner.val_loop.run()
            runner.model.train()

    def _continue(self, runner: Runner) -> bool:
        """Take over what was measured up to here; whether there was anything."""
        restored = self._restored or {}
        for key, points in restored.get("training", {}).items():
            self.record.training[key] = [tuple(point) for point in points]
        self._earlier_s = restored.get("wall_time_s", 0.0)
        self.record.peak_memory_mb = restored.get("peak_memory_mb", 0.0)
        try:
            old = read_record(runner.work_dir)
        except (FileNotFoundError, ValueError):
            return bool(restored)
        if old.config_sha256 != self.record.config_sha256:
            return bool(restored)
        for key in ("metrics", "per_class", "per_iou", "iou_thresholds"):
            setattr(self.record, key, getattr(old, key))
        self.record.forget_after(runner.iter)
        return True

    def _validation_is_missing(self, runner: Runner) -> bool:
        loop, done = runner.train_loop, runner.iter
        if runner.val_loop is None or done < loop.val_begin:
            return False
        is_due = done % loop.val_interval == 0 or done == runner.max_iters
        seen = {step for series in self.record.metrics.values() for step, _ in series}
        return is_due and done not in seen

    def reads_losses(self, runner: Runner) -> bool:
        """Whether this iteration is noted; ``LossInfoHook`` asks."""
        return self.every_n_train_iters(runner, self.interval)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Note losses and pseudo-label figures every so often."""
        if self.record is None or not self.reads_losses(runner):
            return
        for key, buffer in runner.message_hub.log_scalars.items():
            name = key.removeprefix("train/")
            if name == key or not name.startswith(_LOGGED):
                continue
            smooth = name == "loss"
            value = buffer.mean(self.interval) if smooth else buffer.current()
            points = self.record.training.setdefault(name, [])
            points.append((runner.iter + 1, float(value)))

    def note_validation(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Note the results and write the file.

        Args:
            runner: the runner.
            metrics: results by key.
        """
        if self.record is None or not metrics:
            return
        step = runner.iter
        for key, value in metrics.items():
            series = self.record.metrics.setdefault(key, [])
            series[:] = [point for point in series if point[0] < step]
            series.append((step, float(value)))
        self._note_breakdowns(runner)
        self._write(runner)

    def _note_breakdowns(self, runner: Runner) -> None:
        loop = runner.val_loop
        evaluators = getattr(loop, "evaluators", None) or {"": loop.evaluator}
        for model, evaluator in evaluators.items():
            for metric in evaluator.metrics:
                breakdown = getattr(metric, "breakdown", None)
                if breakdown is not None:
                    self.record.per_class[model] = breakdown.per_class
                    self.record.per_iou[model] = breakdown.per_iou
                    self.record.iou_thresholds = breakdown.iou_thresholds

    def after_train(self, runner: Runner) -> None:
        """Close the record."""
        peak = torch.tensor(_peak_memory_mb())
        all_reduce(peak, "max")
        if self.record is None:
            return
        self.record.peak_memory_mb = max(self.record.peak_memory_mb, float(peak))
        if runner.iter >= runner.max_iters:
            self.record.state = "finished"
        self._write(runner)

    def _wall_time(self) -> float:
        return self._earlier_s + time.monotonic() - self._start

    def _write(self, runner: Runner) -> None:
        self.record.iterations = runner.iter
        self.record.wall_time_s = round(self._wall_time(), 2)
        memory_mb = round(_peak_memory_mb(), 1)
        self.record.peak_memory_mb = max(self.record.peak_memory_mb, memory_mb)
        self.record.write(Path(runner.work_dir) / RECORD_FILE)


class _ValidationHook(Hook):
    """Lets a record note a validation once its best checkpoint is written."""

    def __init__(self, record_hook: RunRecordHook) -> None:
        self.record_hook = record_hook

    def after_val_epoch(
        self, runner: Runner, metrics: dict[str, float] | None = None
    ) -> None:
        """Note the results, see :meth:`RunRecordHook.note_validation`."""
        self.record_hook.note_validation(runner, metrics)


def _described(runner: Runner) -> RunRecord:
    """A record that says what the run is."""
    cfg = runner.cfg
    digests, counts = annotation_digests(cfg)
    return RunRecord(
        name=Path(cfg.filename).stem if cfg.filename else "config",
        config_sha256=config_sha256(cfg),
        command=list(sys.argv),
        fold=cfg.get("fold"),
        percent=cfg.get("percent"),
        seed=runner.seed,
        git=git_state(),
        splits=digests,
        versions=package_versions(),
        device=device_name(),
        num_processes=get_world_size(),
        max_iters=runner.max_iters,
        class_counts=counts,
    )


def _peak_memory_mb() -> float:
    """Largest memory so far, of the GPU where there is one, in MiB."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / _MB
    per_unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used * per_unit / _MB
