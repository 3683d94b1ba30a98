"""From a complete config to a runner, on CUDA or the CPU, one process or many."""

from __future__ import annotations

import copy
import datetime
import logging
import os

import torch
import torch.distributed
from mmengine.config import Config
from mmengine.dist import get_world_size, is_distributed
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.utils import import_modules_from_strings

from ssod_mm.cli.lookup import find_config, load_config
from ssod_mm.cli.parameters import nested_dicts
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.engine.checkpoint_hook import newest_checkpoint
from ssod_mm.engine.speed import FastRunner
from ssod_mm.errors import UserError

__all__ = [
    "build_runner",
    "describe_learning_rate",
    "find_config",
    "load_config",
    "resolve_config",
]


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a config that ``resolve_config`` completed.

    On a machine without CUDA several processes talk through gloo and the model is
    wrapped for the CPU. Logs the learning rate that follows from the batch.

    Args:
        cfg: The config; it is not changed.

    Raises:
        ValueError: ``launcher="pytorch"`` without torchrun's variables, or more
            processes than GPUs.
    """
    cfg = copy.deepcopy(cfg)
    import_custom_modules(cfg)
    if cfg.get("launcher", "none") != "none":
        _check_variables(cfg.launcher)
        if torch.cuda.is_available():
            _check_gpu_count()
        else:
            _prepare_cpu_processes(cfg)
    _count_accumulated_batches(cfg)
    _choose_checkpoint(cfg)
    runner = FastRunner.from_cfg(cfg)
    if cfg.get("train_dataloader") is not None:
        print_log(describe_learning_rate(cfg, get_world_size()), logger="current")
    return runner


def import_custom_modules(cfg: Config) -> None:
    """Import what the config's ``custom_imports`` names, which registers it."""
    if cfg.get("custom_imports"):
        import_modules_from_strings(**cfg.custom_imports)


def describe_learning_rate(cfg: Config, world_size: int) -> str:
    """One line that says which learning rate the optimiser starts from, and why.

    Args:
        cfg: A config as ``build_runner`` hands it to the runner.
        world_size: Number of processes.
    """
    wrapper = cfg.optim_wrapper
    learning_rate = wrapper.get("optimizer", {}).get("lr")
    batch_size = cfg.train_dataloader.get("batch_size")
    if learning_rate is None or batch_size is None:
        return "learning rate: the optimiser's own"
    accumulated = wrapper.get("accumulative_counts", 1)
    total = batch_size * world_size * accumulated
    batch = f"batch {batch_size} x {world_size}"
    if accumulated > 1:
        batch += f" x {accumulated} accumulated"
    scaling = cfg.get("auto_scale_lr") or {}
    if not scaling.get("enable"):
        return f"lr {learning_rate:g}, not scaled ({batch} = {total})"
    base = round(scaling["base_batch_size"] * accumulated)
    scaled = learning_rate * total / base
    return (
        f"lr {learning_rate:g} x {total}/{base} = {scaled:.6g} "
        f"({batch}; auto_scale_lr.base_batch_size {base})"
    )


def _count_accumulated_batches(cfg: Config) -> None:
    """Let scaling count the batches that gradient accumulation adds up.

    mmengine's own scaling looks at one batch only; a base that is smaller by the
    same factor gives the rate of the whole.
    """
    scaling = cfg.get("auto_scale_lr")
    accumulated = (cfg.get("optim_wrapper") or {}).get("accumulative_counts", 1)
    if scaling and scaling.get("base_batch_size") and accumulated > 1:
        scaling.base_batch_size = scaling.base_batch_size / accumulated


def _choose_checkpoint(cfg: Config) -> None:
    """Name the checkpoint that a resumed run goes on from.

    mmengine would trust the pointer file, which may be damaged or belong to the folder
    that this one was copied from.
    """
    if cfg.get("resume") and not cfg.get("load_from"):
        path = newest_checkpoint(cfg.work_dir)
        cfg.resume, cfg.load_from = path is not None, path and str(path)


def _check_variables(launcher: str) -> None:
    missing = [key for key in ("RANK", "WORLD_SIZE") if key not in os.environ]
    if launcher == "pytorch" and missing:
        raise UserError(
            f"--launcher pytorch finds no {missing[0]} in the environment; start with "
            "tools/dist_train.sh CONFIG NPROC, or drop --launcher"
        )


def _check_gpu_count() -> None:
    local_rank = int(os.environ.get("LOCAL_RANK", 0))
    if local_rank >= torch.cuda.device_count():
        raise UserError(
            f"process {local_rank + 1} on this machine has no GPU: there are "
            f"{torch.cuda.device_count()}; start no more processes than that, or hide "
            "the GPUs (CUDA_VISIBLE_DEVICES=-1) to train on the CPU"
        )


def _prepare_cpu_processes(cfg: Config) -> None:
    """Join the process group with gloo and let the model be wrapped for the CPU.

    mmengine would select a CUDA device in both places.
    """
    if cfg.launcher != "pytorch":
        raise UserError(
            f"--launcher {cfg.launcher} needs CUDA; start CPU processes with "
            "tools/dist_train.sh"
        )
    if not is_distributed():
        dist_cfg = (cfg.get("env_cfg") or {}).get("dist_cfg") or {}
        timeout = datetime.timedelta(seconds=dist_cfg.get("timeout", 1800))
        torch.distributed.init_process_group("gloo", timeout=timeout)
    wrapper = dict(cfg.get("model_wrapper_cfg") or {})
    wrapper.setdefault("type", "MMDistributedDataParallel")
    wrapper.setdefault("broadcast_buffers", False)
    wrapper.setdefault(
        "find_unused_parameters", cfg.get("find_unused_parameters", False)
    )
    wrapper["device_ids"] = None
    cfg.model_wrapper_cfg = wrapper
    use_local_batch_norm(cfg)


def use_local_batch_norm(cfg: Config) -> None:
    """Let batch norm that works over several GPUs be plain, and say so.

    PyTorch has ``SyncBN`` for GPUs alone. RTMDet turns its batch norm into that one by
    itself where there are several processes.

    Args:
        cfg: its ``model`` is changed.
    """
    changed = False
    for part in nested_dicts(cfg.get("model") or {}):
        if part.get("type") == "SyncBN":
            part["type"], changed = "BN", True
        elif part.get("type") == "RTMDet" and part.get("use_syncbn", True):
            part["use_syncbn"], changed = False, True
    if changed:
        print_log(
            "SyncBN needs GPUs: here it is BN, and every process normalises by its own "
            "images",
            logger="current",
            level=logging.WARNING,
        )
