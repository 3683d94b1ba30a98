"""Train a detector: python tools/train.py CONFIG [options]."""

from __future__ import annotations

import argparse

from mmengine.config import Config
from mmengine.logging import print_log

from ssod_mm.cli.arguments import (
    add_check_argument,
    add_config_arguments,
    add_launcher_argument,
    add_trust_argument,
    config_overrides,
    set_local_rank,
)
from ssod_mm.cli.data_files import check_class_counts
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.sweep.targets import load_target


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        "--amp",
        nargs="?",
        const=True,
        choices=["bf16", "fp16"],
        help="mixed precision; without a value fp16 on CUDA, bf16 on the CPU",
    )
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        metavar="CHECKPOINT",
        help="go on from CHECKPOINT, or from the newest one of the output folder",
    )
    parser.add_argument(
        "--auto-scale-lr",
        action=argparse.BooleanOptionalAction,
        help="scale the learning rate with the batch; default: as the config says",
    )
    add_check_argument(parser)
    add_trust_argument(parser)
    add_launcher_argument(parser)
    return parser.parse_args()


def complete_config(arguments: argparse.Namespace) -> Config:
    """The config that the command line asks for."""
    cfg = resolve_config(
        load_target(arguments.config, arguments.cfg_options, arguments.percent),
        amp=arguments.amp,
        resume=arguments.resume,
        auto_scale_lr=arguments.auto_scale_lr,
        **config_overrides(arguments),
    )
    cfg.launcher = arguments.launcher
    return cfg


def main() -> None:
    """Train."""
    arguments = parse_arguments()
    set_local_rank(arguments)
    with one_line_errors():
        cfg = complete_config(arguments)
        if arguments.check:
            check_class_counts(cfg)
            print(f"{arguments.config}: options, config and data files are in order")
            return
        # Only now, so that a mistake in the command is reported at once.
        from ssod_mm.checkpoints import trust_checkpoints
        from ssod_mm.engine.runtime import build_runner

        trust_checkpoints(arguments.trust_checkpoint)
        runner = build_runner(cfg)
        print_log(f"Output folder: {runner.work_dir}", logger="current")
        runner.train()


if __name__ == "__main__":
    main()
