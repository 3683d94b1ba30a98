"""Command-line options that several tools have in common."""

from __future__ import annotations

import argparse
import os
from typing import Any

from mmengine.config import DictAction


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add CONFIG and the options that complete it."""
    parser.add_argument(
        "config",
        help="a path, a path relative to configs/, or SWEEP:ROW for a row of a sweep",
    )
    parser.add_argument("--work-dir", help="output folder")
    add_override_arguments(parser)


def add_override_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that complete a config, or several alike."""
    parser.add_argument("--fold", type=int, help="number of the label split, from 1")
    parser.add_argument(
        "--percent", type=ratio_number, help="labelled images in percent"
    )
    parser.add_argument("--seed", type=int, help="seed of data order and training")
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides, such as train_cfg.max_iters=100; lists as key=[a,b]",
    )


def add_launcher_argument(parser: argparse.ArgumentParser) -> None:
    """Add the way in which several processes were started."""
    parser.add_argument(
        "--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none"
    )
    parser.add_argument("--local-rank", "--local_rank", type=int, default=0)


def add_check_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that stops after the checks."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="only check options, config and data files, in a fraction of a second",
    )


def add_trust_argument(parser: argparse.ArgumentParser) -> None:
    """Add the option that lets a checkpoint hold more than weights."""
    parser.add_argument(
        "--trust-checkpoint",
        action="store_true",
        help="read checkpoints that hold more than weights, which can run any program: "
        "only for files of your own",
    )


def config_overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments of ``resolve_config`` that these options stand for."""
    names = ("fold", "percent", "seed", "work_dir", "cfg_options")
    return {name: getattr(arguments, name, None) for name in names}


def set_local_rank(arguments: argparse.Namespace) -> None:
    """Provide ``LOCAL_RANK``, which old launchers pass as an option only."""
    os.environ.setdefault("LOCAL_RANK", str(arguments.local_rank))


def ratio_number(text: str) -> float:
    """A whole number as int, so that 10 and 10.0 name the same split."""
    value = float(text)
    return int(value) if value.is_integer() else value
