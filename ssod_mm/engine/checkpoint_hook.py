"""Checkpoints that survive a kill at any moment, and the newest readable one."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ssod_mm.checkpoint_files import read_checkpoint
from ssod_mm.cli.run_folders import POINTER, numbered_checkpoints
from ssod_mm.durable import write_durably
from ssod_mm.errors import UserError


@HOOKS.register_module()
class DurableCheckpointHook(CheckpointHook):
    """``CheckpointHook`` that removes a file only once its successor is whole.

    Each file is written to a draft, synced and renamed. The pointer ``last_checkpoint``
    and the names inside a checkpoint are relative to the work folder: a copied folder
    goes on with its own files.
    Arguments are those of mmengine's ``CheckpointHook``.
    """

    def before_train(self, runner: Runner) -> None:
        """Take over what a resumed run noted about its files."""
        super().before_train(runner)
        if getattr(self, "best_ckpt_path", None):
            self.best_ckpt_path = self._in_folder(self.best_ckpt_path)
        for key, path in getattr(self, "best_ckpt_path_dict", {}).items():
            self.best_ckpt_path_dict[key] = path and self._in_folder(path)

    def _in_folder(self, path: str) -> str:
        return self.file_backend.join_path(self.out_dir, Path(path).name)

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        outdated = None
        if self.max_keep_ckpts > 0 and step not in list(self.keep_ckpt_ids)[-1:]:
            if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
                outdated = self.filename_tmpl.format(self.keep_ckpt_ids[0])
            self.keep_ckpt_ids.append(step)  # drops the oldest
            runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self._in_folder(name)
        infos = runner.message_hub.runtime_info
        infos["last_ckpt"] = name
        for key in [key for key in infos if key.startswith("best_ckpt")]:
            infos[key] = Path(infos[key]).name
        runner.save_checkpoint(
            self.out_dir,
            name,
            self.file_client_args,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            write_durably(Path(runner.work_dir, POINTER), f"{name}\n")
            if outdated is not None:
                self._remove(self._in_folder(outdated))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        with self._removed_in_the_end() as outdated:
            super()._save_best_checkpoint(runner, metrics)
        kept = {
            getattr(self, "best_ckpt_path", None),
            *getattr(self, "best_ckpt_path_dict", {}).values(),
        }
        for path in outdated:
            if path not in kept and is_main_process():
                self._remove(path)

    @contextmanager
    def _removed_in_the_end(self) -> Iterator[list[str]]:
        """Collect the files that mmengine would remove before it writes new ones."""
        backend, outdated = self.file_backend, []
        self.file_backend = _KeepingBackend(backend, outdated)
        try:
            yield outdated
        finally:
            self.file_backend = backend

    def _remove(self, path: str) -> None:
        if self.file_backend.isfile(path):
            self.file_backend.remove(path)


class _KeepingBackend:
    """A file backend that notes what is to be removed in place of removing it."""

    def __init__(self, backend: Any, outdated: list[str]) -> None:
        self._backend = backend
        self._outdated = outdated

    def remove(self, path: str) -> None:
        self._outdated.append(path)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def newest_checkpoint(work_dir: str | Path) -> Path | None:
    """The newest checkpoint of a work folder that can be read.

    Args:
        work_dir: the folder; what its pointer ``last_checkpoint`` says is not needed.

    Returns:
        The file; None where the folder has no checkpoint. Those that were skipped are
        named in the log.

    Raises:
        ValueError: there are checkpoints, and none of them can be read.
    """
    paths = numbered_checkpoints(work_dir)
    reasons = []
    for path in paths:
        try:
            content = read_checkpoint(path)
        except (ValueError, OSError) as error:
            reasons.append(str(error))
            continue
        if {"optimizer", "message_hub", "meta"} <= set(content):
            for reason in reasons:
                print_log(f"skipped: {reason}", logger="current", level=logging.WARNING)
            return path
        reasons.append(f"{path} lacks the optimiser's state")
    if paths:
        raise UserError(
            f"none of the {len(paths)} checkpoints in {work_dir} can be read "
            f"({'; '.join(reasons)}): remove them to begin again, or name another "
            "checkpoint with --resume CHECKPOINT"
        )
    return None
