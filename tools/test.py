"""Evaluate a checkpoint: python tools/test.py CONFIG CHECKPOINT [options].

The checkpoint may hold a plain detector or teacher and student, and so may the
config, in any combination. Several checkpoints are tested together, as an ensemble.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from mmengine.config import Config, ConfigDict

from ssod_mm.cli.arguments import (
    add_check_argument,
    add_config_arguments,
    add_launcher_argument,
    add_trust_argument,
    config_overrides,
    set_local_rank,
)
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.errors import UserError
from ssod_mm.sweep.targets import load_target

MODELS = ("teacher", "student")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument(
        "checkpoint", nargs="+", help="file of weights; several: their joint detections"
    )
    parser.add_argument(
        "--which",
        choices=[*MODELS, "both"],
        help="whose predictions count; default: both, or the teacher where the "
        "config has a plain detector",
    )
    parser.add_argument("--out", help="write the results to this json file")
    add_check_argument(parser)
    add_trust_argument(parser)
    add_launcher_argument(parser)
    return parser.parse_args()


def complete_config(arguments: argparse.Namespace) -> Config:
    """The config that the command line asks for."""
    for checkpoint in arguments.checkpoint:
        if "://" not in checkpoint and not Path(checkpoint).is_file():
            raise FileNotFoundError(f"there is no checkpoint {checkpoint}")
    cfg = resolve_config(
        load_target(arguments.config, arguments.cfg_options, arguments.percent),
        check_files=("test",),
        **config_overrides(arguments),
    )
    if cfg.get("test_dataloader") is None:
        raise UserError(f"{arguments.config} has no test_dataloader")
    cfg.launcher = arguments.launcher
    cfg.load_from, cfg.resume = None, False
    if len(arguments.checkpoint) > 1:
        set_ensemble(cfg, len(arguments.checkpoint), arguments.which)
    else:
        set_models(cfg, arguments.which)
    return cfg


def set_ensemble(cfg: Config, num_members: int, which: str | None) -> None:
    """Let the test loop evaluate the joint detections of several checkpoints.

    Raises:
        ValueError: teacher and student of each at once.
    """
    if which == "both":
        raise UserError(
            "--which both: several checkpoints are tested as one ensemble; choose "
            "--which teacher or student"
        )
    detector = cfg.model.get("detector", cfg.model)
    cfg.model = ConfigDict(
        type="EnsembleDetector",
        detector=detector,
        num_members=num_members,
        data_preprocessor=detector.data_preprocessor,
    )
    cfg.test_cfg = ConfigDict(type="TestLoop")


def set_models(cfg: Config, which: str | None) -> None:
    """Let the test loop evaluate teacher, student or both.

    Raises:
        ValueError: both, of a plain detector.
    """
    if "detector" in cfg.model:  # a semi-supervised wrapper of a detector
        models = [which] if which in MODELS else list(MODELS)
        cfg.test_cfg = ConfigDict(type="BothModelsTestLoop", models=models)
    elif which == "both":
        raise UserError(
            "--which both: the config has a plain detector, which is one model; "
            "choose --which teacher or student"
        )


def main() -> None:
    """Test."""
    arguments = parse_arguments()
    set_local_rank(arguments)
    with one_line_errors():
        cfg = complete_config(arguments)
        if arguments.check:
            print(f"{arguments.config}: options, config and data files are in order")
            return
        # Only now, so that a mistake in the command is reported at once.
        from mmengine.model import is_model_wrapper

        from ssod_mm.apis.inference import evaluated_model
        from ssod_mm.checkpoints import load_weights, trust_checkpoints
        from ssod_mm.engine.class_hook import number_labels
        from ssod_mm.engine.runtime import build_runner

        trust_checkpoints(arguments.trust_checkpoint)
        which = arguments.which or evaluated_model(load_target(arguments.config))
        runner = build_runner(cfg)
        model = runner.model
        model = model.module if is_model_wrapper(model) else model
        members = getattr(model, "members", [model])
        runner.test_loop  # noqa: B018  (builds the test set)
        for member, checkpoint in zip(members, arguments.checkpoint, strict=True):
            classes = load_weights(member, checkpoint, which)
            if classes is not None:
                number_labels(runner, classes, checkpoint)
        results = runner.test()
        if arguments.out and runner.rank == 0:
            Path(arguments.out).parent.mkdir(parents=True, exist_ok=True)
            Path(arguments.out).write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
