"""Train a config, or a method on a folder of your own images.

With a config, one training: teacher and student in two phases are train_phases. With a
folder the label split is made, the method's teacher is trained on the labelled images,
then the student from it; the same command again goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from pathlib import Path

from ssod_mm.cli.arguments import (
    add_check_arguments,
    add_config_arguments,
    add_launcher_argument,
    add_training_arguments,
    add_trust_argument,
    config_overrides,
    make_parser,
    set_local_rank,
)
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.errors import UserError

METHOD = "mean_teacher"
OF_A_FOLDER = ("method", "detector", "unlabelled", "pretrained", "iters", "nproc")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add_config_arguments(
        parser, ", or a folder of your own data: COCO json, YOLO or VOC"
    )
    add_training_arguments(parser)
    parser.add_argument(
        "--resume",
        nargs="?",
        const=True,
        metavar="CHECKPOINT",
        help="go on from CHECKPOINT, or from the newest one of the output folder "
        "(default: train from the beginning)",
    )
    add_folder_arguments(parser)
    add_check_arguments(parser)
    parser.add_argument(
        "--before-first-phase",
        action="store_true",
        help="with --check: the checkpoint to continue from is not trained yet",
    )
    add_trust_argument(parser)
    add_launcher_argument(parser)
    return parser.parse_args()


def add_folder_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a training on a folder may be told."""
    folder = parser.add_argument_group("with a folder in place of a config")
    folder.add_argument(
        "--method",
        help="supervised, mean_teacher, certainty, lerprc, dtg or another row of the "
        f"sweep folder (default: {METHOD})",
    )
    folder.add_argument(
        "--detector",
        help="rtmdet, yolox or another one that the method has a config of for folders "
        "(default: the method's small Faster R-CNN)",
    )
    folder.add_argument(
        "--unlabelled",
        metavar="FOLDER",
        help="images without labels, beside all labels (default: --percent of the "
        "images keep their labels, 10 unless given; with --percent 100 the images of "
        "the folder that have none)",
    )
    folder.add_argument(
        "--pretrained",
        metavar="WEIGHTS",
        help="ImageNet weights of the backbone, a file or a name, such as "
        "mobilenet_v2, that is found or fetched (default: random weights)",
    )
    folder.add_argument(
        "--iters",
        nargs=2,
        type=int,
        metavar=("FIRST", "SECOND"),
        help="iterations of teacher and student (default: those of the sweep folder)",
    )
    folder.add_argument(
        "--nproc",
        type=int,
        help="processes of each training, one per GPU (default: 1)",
    )


def train_own_data(arguments: argparse.Namespace) -> int:
    """Train on a folder; the exit code.

    Raises:
        UserError: an option that is for a config alone.
    """
    from ssod_mm.apis.folder_training import train_folder

    given = {key: getattr(arguments, key) for key in OF_A_FOLDER}
    if arguments.resume or arguments.launcher != "none":
        raise UserError(
            f"{arguments.config} is a folder: its trainings go on by themselves, and "
            "--nproc starts several processes; leave --resume and --launcher out"
        )
    return train_folder(
        arguments.config,
        given.pop("method") or METHOD,
        partial(print, flush=True),
        nproc=given.pop("nproc") or 1,
        check=arguments.check or arguments.check_files,
        only_files=arguments.check_files,
        amp=arguments.amp,
        auto_scale_lr=arguments.auto_scale_lr,
        **given,
        **config_overrides(arguments),
    )


def train_config(arguments: argparse.Namespace) -> None:
    """Train a config, or only check it.

    Raises:
        UserError: an option that is for a folder alone.
    """
    from ssod_mm.apis.training import check, train

    wrong = [key for key in OF_A_FOLDER if getattr(arguments, key) is not None]
    if wrong:
        raise UserError(f"--{wrong[0]} is for a folder, and {arguments.config} is none")
    options = dict(
        amp=arguments.amp,
        resume=arguments.resume,
        auto_scale_lr=arguments.auto_scale_lr,
        **config_overrides(arguments),
    )
    if arguments.check or arguments.check_files:
        if os.environ.get("RANK", "0") == "0":
            said = check(
                arguments.config,
                only_files=arguments.check_files,
                before_first_phase=arguments.before_first_phase,
                trust_checkpoint=arguments.trust_checkpoint,
                **options,
            )
            print(f"{arguments.config}: {said}")
        return
    train(
        arguments.config,
        launcher=arguments.launcher,
        trust_checkpoint=arguments.trust_checkpoint,
        **options,
    )
    if arguments.launcher != "none":
        from torch import distributed

        # A thread of the group that still runs when Python ends can abort the process.
        distributed.destroy_process_group()


def main() -> None:
    """Train."""
    arguments = parse_arguments()
    set_local_rank(arguments)
    with one_line_errors():
        if Path(arguments.config).is_dir():
            sys.exit(train_own_data(arguments))
        train_config(arguments)


if __name__ == "__main__":
    main()
