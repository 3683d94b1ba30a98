"""From a config and a command line to a complete config.

Whatever can be found wrong before a model is built is found here, in a fraction of a
second: nothing in this module imports torch.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ssod_mm.cli.data_files import check_data_files
from ssod_mm.cli.overrides import check_overrides, move_data_root
from ssod_mm.cli.parameters import fill_parameters, read_environment
from ssod_mm.cli.run_folders import numbered_checkpoints
from ssod_mm.errors import UserError
from ssod_mm.settings import number_rule

_AMP_DTYPES = {"bf16": "bfloat16", "fp16": "float16"}
_COUNT = number_rule("whole number", at_least=1)
_RATE = number_rule("number", above=0)
_AMOUNT = number_rule("number", at_least=0)
NUMBERS = {
    **{
        f"{stage}_dataloader.{key}": number_rule("whole number", at_least=least)
        for stage in ("train", "val", "test")
        for key, least in (("batch_size", 1), ("num_workers", 0))
    },
    "train_cfg.max_iters": _COUNT,
    "train_cfg.max_epochs": _COUNT,
    "train_cfg.val_interval": _COUNT,
    "optim_wrapper.optimizer.lr": _RATE,
    "optim_wrapper.optimizer.weight_decay": _AMOUNT,
    "optim_wrapper.optimizer.momentum": _AMOUNT,
    "optim_wrapper.accumulative_counts": _COUNT,
    "auto_scale_lr.base_batch_size": _RATE,
    "default_hooks.checkpoint.interval": _COUNT,
    "default_hooks.logger.interval": _COUNT,
}
"""Config keys that hold numbers, and what they may be."""
_PLAIN_WRAPPERS = ("OptimWrapper", "AmpOptimWrapper", "MixedPrecisionOptimWrapper")


def resolve_config(
    cfg: Config,
    fold: int | None = None,
    percent: float | None = None,
    seed: int | None = None,
    work_dir: str | None = None,
    amp: str | bool | None = None,
    resume: str | bool | None = None,
    auto_scale_lr: bool | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    check_files: tuple[str, ...] = ("train", "val"),
) -> Config:
    """Complete a config: overrides, split, work folder, precision, checks.

    Args:
        cfg: The config as read; it is not changed.
        fold: Split number; the config's ``fold`` when None.
        percent: Percentage of labelled images; the config's ``percent`` when None.
        seed: Seed of the run; the config's ``seed`` when None.
        work_dir: Output folder; ``work_dirs/<config>/fold<k>-p<percent>-seed<s>``
            when neither given nor in the config.
        amp: ``"bf16"``, ``"fp16"``, or True for bf16 without and fp16 with CUDA.
        resume: True to go on from the newest checkpoint of the work folder, or the
            path of a checkpoint.
        auto_scale_lr: Switches learning-rate scaling; the config's choice if None.
        cfg_options: Dotted keys and their new values, as of ``--cfg-options``.
        check_files: Whose files must exist: any of "train", "val", "test".

    Returns:
        A new config in which all that follows from its parameters is filled in (see
        :mod:`ssod_mm.cli.parameters`).

    Raises:
        ValueError: a value outside its range, or keys that do not fit together.
        FileNotFoundError: a data file or the checkpoint to resume from is missing.
    """
    cfg = copy.deepcopy(cfg)
    read_environment(cfg, cfg_options or {})
    if cfg_options:
        merge_options(cfg, cfg_options)
    for key, value in (("fold", fold), ("percent", percent), ("seed", seed)):
        if value is not None:
            cfg[key] = value
    _check_split(cfg)
    fill_parameters(cfg, cfg_options or ())
    _check_numbers(cfg)
    _set_seed(cfg)
    _set_work_dir(cfg, work_dir)
    set_precision(cfg, amp)
    _set_resume(cfg, resume)
    _set_lr_scaling(cfg, auto_scale_lr)
    _complete_sampler(cfg)
    check_data_files(cfg, check_files)
    return cfg


def merge_options(cfg: Config, options: Mapping[str, Any]) -> None:
    """Apply dotted overrides and say which of them the config did not have.

    Raises:
        ValueError: nothing would read one of them, or it does not fit.
    """
    check_overrides(cfg, options)
    if isinstance(options.get("data_root"), str):
        move_data_root(cfg, options["data_root"])
    # A part that is given another type takes other keys.
    retyped = {key.rpartition(".")[0] for key in options if key.endswith(".type")}
    unknown = [
        key
        for key in options
        if not _has_key(cfg, key) and key.rpartition(".")[0] not in retyped - {""}
    ]
    try:
        cfg.merge_from_dict(dict(options))
    except (KeyError, TypeError, IndexError) as error:
        raise UserError(f"--cfg-options do not fit the config: {error}") from error
    for key in unknown:
        print_log(
            f"--cfg-options {key}: the config has no such key, it is added; is it "
            "spelt right?",
            logger="current",
            level=logging.WARNING,
        )


def _has_key(node: Any, dotted: str) -> bool:
    """Whether a dotted key leads to something in nested dicts and lists."""
    for part in dotted.split("."):
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                return False
            node = node[int(part)]
        elif isinstance(node, (Mapping, Config)) and part in node:
            node = node[part]
        else:
            return False
    return True


def _check_split(cfg: Config) -> None:
    """Check the ranges of ``fold``, ``percent`` and ``seed``, where present."""

    def number(value: Any, kinds: tuple[type, ...]) -> bool:
        return isinstance(value, kinds) and not isinstance(value, bool)

    fold, percent, seed = (cfg.get(key) for key in ("fold", "percent", "seed"))
    if fold is not None and not (number(fold, (int,)) and fold >= 1):
        raise UserError(f"fold (--fold) must be a whole number from 1, not {fold!r}")
    if percent is not None and not (
        number(percent, (int, float)) and 0 < percent <= 100
    ):
        raise UserError(
            f"percent (--percent) must be above 0 and at most 100, not {percent!r}"
        )
    if seed is not None and not (number(seed, (int,)) and 0 <= seed < 2**32):
        raise UserError(
            f"seed (--seed) must be a whole number from 0 to 2**32 - 1, not {seed!r}"
        )


def _check_numbers(cfg: Config) -> None:
    """Check the numbers of loaders, loops and optimiser, where present.

    Raises:
        ValueError: one is none, or out of its range; names the key.
    """
    for dotted, rule in NUMBERS.items():
        node: Any = cfg
        *path, last = dotted.split(".")
        for part in path:
            node = node.get(part) if isinstance(node, (Mapping, Config)) else None
        if isinstance(node, (Mapping, Config)) and node.get(last) is not None:
            value = node[last]
            if not rule.allows(value):
                raise UserError(f"{dotted} must be {rule.wanted}, not {value!r}")


def _set_seed(cfg: Config) -> None:
    if cfg.get("seed") is not None:
        cfg.randomness = dict(cfg.get("randomness") or {}, seed=cfg.seed)


def _set_work_dir(cfg: Config, work_dir: str | None) -> None:
    if work_dir is not None:
        cfg.work_dir = work_dir
    elif cfg.get("work_dir") is None:
        name = Path(cfg.filename).stem if cfg.filename else "config"
        parts = [
            f"{letter}{cfg[key]:g}" if key == "percent" else f"{letter}{cfg[key]}"
            for key, letter in (("fold", "fold"), ("percent", "p"), ("seed", "seed"))
            if cfg.get(key) is not None
        ]
        cfg.work_dir = str(Path("work_dirs", name, "-".join(parts)))


def set_precision(cfg: Config, amp: str | bool | None) -> None:
    """Switch the optimiser wrapper to mixed precision."""
    if amp is None or amp is False:
        return
    if amp is True:
        from mmengine.device import is_cuda_available

        amp = "fp16" if is_cuda_available() else "bf16"
    if amp not in _AMP_DTYPES:
        raise UserError(f"--amp takes {' or '.join(_AMP_DTYPES)}, not {amp!r}")
    wrapper = cfg.get("optim_wrapper")
    kind = (wrapper or {}).get("type", "OptimWrapper")
    if wrapper is None or kind not in _PLAIN_WRAPPERS:
        raise UserError(
            f"--amp replaces optim_wrapper.type when it is {_PLAIN_WRAPPERS[0]}, but "
            f"it is {kind if wrapper else 'not set'}; set its precision in the config"
        )
    wrapper.type = "MixedPrecisionOptimWrapper"
    wrapper.dtype = _AMP_DTYPES[amp]


def _set_resume(cfg: Config, resume: str | bool | None) -> None:
    if resume is None or resume is False:
        return
    cfg.resume = True
    if resume is True or resume == "auto":
        cfg.load_from = None
        if not numbered_checkpoints(cfg.work_dir):
            print_log(
                f"--resume: {cfg.work_dir} holds no checkpoint yet, training starts "
                "from the beginning",
                logger="current",
                level=logging.WARNING,
            )
        return
    if "://" not in resume and not Path(resume).is_file():
        raise FileNotFoundError(f"--resume: there is no checkpoint {resume}")
    cfg.load_from = resume


def _set_lr_scaling(cfg: Config, enable: bool | None) -> None:
    scaling = cfg.get("auto_scale_lr")
    if enable is not None:
        scaling = cfg.auto_scale_lr = ConfigDict(scaling or {}, enable=enable)
    if scaling and scaling.get("enable") and not scaling.get("base_batch_size"):
        raise UserError(
            "auto_scale_lr.enable (--auto-scale-lr) needs "
            "auto_scale_lr.base_batch_size: the total batch size, labelled and "
            "unlabelled, that optim_wrapper.optimizer.lr is meant for"
        )


def _complete_sampler(cfg: Config) -> None:
    """Give the ratio sampler the batch size; check that the loop suits it."""
    loader = cfg.get("train_dataloader") or {}
    sampler = loader.get("sampler") or {}
    if sampler.get("type") != "RatioSampler":
        return
    sampler.batch_size = loader.get("batch_size", sampler.get("batch_size"))
    if loader.get("batch_sampler") is not None:
        raise UserError(
            "RatioSampler composes the batches itself: set "
            "train_dataloader.batch_sampler=None (group by orientation with "
            "train_dataloader.sampler.group_by_aspect=True)"
        )
    loop = cfg.get("train_cfg") or {}
    if loop.get("type") == "EpochBasedTrainLoop" or loop.get("by_epoch"):
        raise UserError(
            "RatioSampler never ends an epoch: train by iterations, with train_cfg="
            "dict(type='IterBasedTrainLoop', max_iters=...)"
        )
