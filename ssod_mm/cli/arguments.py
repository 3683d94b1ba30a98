"""Command-line options that several tools have in common."""

from __future__ import annotations

import argparse
import os
from typing import Any


class DictAction(argparse.Action):
    """mmengine's action of this name, imported when it is used: help needs none."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Read ``KEY=VALUE`` pairs into a dict."""
        from mmengine.config import DictAction as Stock

        stock = Stock(self.option_strings, self.dest, nargs="+")
        stock(parser, namespace, values, option_string)


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Says the default of every option that has one, unless its help does."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        default = action.default
        is_none = default is None or default == argparse.SUPPRESS
        if is_none or action.required or "default" in (text or "default"):
            return text
        if isinstance(default, bool):
            return f"{text} (default: no)"
        return f"{text} (default: %(default)s)"


def make_parser(doc: str | None, **options: Any) -> argparse.ArgumentParser:
    """A parser whose description is a tool's docstring.

    Args:
        doc: the docstring.
        **options: of ``argparse.ArgumentParser``.
    """
    return argparse.ArgumentParser(
        description=doc, formatter_class=HelpFormatter, **options
    )


def add_config_arguments(parser: argparse.ArgumentParser, or_else: str = "") -> None:
    """Add CONFIG and the options that complete it.

    Args:
        parser: to add them to.
        or_else: what may stand in place of a config, for the help.
    """
    add_target_argument(parser, or_else)
    parser.add_argument(
        "--work-dir",
        help="output folder (default: the config's, or work_dirs/CONFIG/fold-p-seed)",
    )
    add_override_arguments(parser)


def add_target_argument(parser: argparse.ArgumentParser, or_else: str = "") -> None:
    """Add CONFIG alone, see :func:`add_config_arguments`."""
    parser.add_argument(
        "config",
        help="a path, a path relative to configs/, or SWEEP:ROW for a row of a sweep"
        + or_else,
    )


def add_override_arguments(parser: argparse.ArgumentParser, seed: bool = True) -> None:
    """Add the options that complete a config, or several alike.

    Args:
        parser: to add them to.
        seed: whether the run has one.
    """
    parser.add_argument(
        "--fold",
        type=int,
        help="number of the label split, from 1 (default: the config's)",
    )
    parser.add_argument(
        "--percent",
        type=ratio_number,
        help="labelled images in percent (default: the config's)",
    )
    if seed:
        parser.add_argument(
            "--seed",
            type=int,
            help="seed of data order and training (default: the config's)",
        )
    parser.add_argument(
        "--cfg-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides, such as train_cfg.max_iters=100; lists as key=[a,b] "
        "(default: none)",
    )


def add_training_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a training of one or two phases may be told."""
    parser.add_argument(
        "--amp",
        nargs="?",
        const=True,
        choices=["bf16", "fp16"],
        help="mixed precision; without a value fp16 on CUDA, bf16 on the CPU "
        "(default: the config's, which is float32)",
    )
    parser.add_argument(
        "--auto-scale-lr",
        action=argparse.BooleanOptionalAction,
        help="scale the learning rate with the batch (default: as the config says)",
    )


def add_which_argument(parser: argparse.ArgumentParser) -> None:
    """Add the choice of one of the two models."""
    parser.add_argument(
        "--which",
        choices=["teacher", "student"],
        help="which model is asked (default: the one that the config's "
        "semi_test_cfg.predict_on names, else the teacher)",
    )


def add_launcher_argument(parser: argparse.ArgumentParser) -> None:
    """Add the way in which several processes were started."""
    parser.add_argument(
        "--launcher",
        choices=["none", "pytorch", "slurm", "mpi"],
        default="none",
        help="how several processes were started",
    )
    parser.add_argument(
        "--local-rank",
        "--local_rank",
        type=int,
        default=0,
        help="number of this process on its machine, which old launchers pass",
    )


def add_check_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that stop before a training."""
    parser.add_argument(
        "--check",
        action="store_true",
        help="only check what a training would refuse: options, config, files, "
        "classes, model, weights, and one batch",
    )
    parser.add_argument(
        "--check-files",
        action="store_true",
        help="only check options, config and files, in a fraction of a second",
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


def using_overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    """The same of a call that trains nothing: without a seed and an output folder."""
    return {
        name: getattr(arguments, name) for name in ("fold", "percent", "cfg_options")
    }


def set_local_rank(arguments: argparse.Namespace) -> None:
    """Provide ``LOCAL_RANK``, which old launchers pass as an option only."""
    os.environ.setdefault("LOCAL_RANK", str(arguments.local_rank))


def ratio_number(text: str) -> float:
    """A whole number as int, so that 10 and 10.0 name the same split."""
    value = float(text)
    return int(value) if value.is_integer() else value
