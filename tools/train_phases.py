"""Train a teacher, then a student from it.

The first phase trains the config that CONFIG names in teacher_config on the labelled
images; the second trains CONFIG from its weights. Options are those of train; fold,
percent, seed, precision and the options of the data go to both phases. A phase that
has ended is not repeated and one that was interrupted goes on: the same command again
is always right.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial

from ssod_mm.cli.arguments import (
    DictAction,
    add_check_arguments,
    add_config_arguments,
    add_training_arguments,
    make_parser,
)
from ssod_mm.cli.errors import one_line_errors


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add_config_arguments(parser)
    add_training_arguments(parser)
    parser.add_argument(
        "--teacher-options",
        nargs="+",
        action=DictAction,
        metavar="KEY=VALUE",
        help="overrides of the teacher's config, such as max_iters=100 (default: none)",
    )
    parser.add_argument(
        "--teacher-work-dir",
        help="output folder of the teacher (default: that of its config)",
    )
    parser.add_argument(
        "--nproc",
        type=int,
        default=1,
        help="processes of each phase, as of dist_train.sh",
    )
    add_check_arguments(parser)
    return parser.parse_args()


def main() -> None:
    """Train both phases."""
    arguments = parse_arguments()
    from ssod_mm.cli.phases import plan_phases
    from ssod_mm.cli.run_phases import train_phases
    from ssod_mm.sweep.targets import load_target

    say = partial(print, flush=True)
    with one_line_errors():
        teachers, student = plan_phases(
            arguments, load_target(arguments.config, arguments.percent)
        )
        phases = [*teachers, student]
        only_files = arguments.check_files
        check = arguments.check or only_files
        code = train_phases(phases, arguments.nproc, check, say, only_files)
    if code:
        sys.exit(code)


if __name__ == "__main__":
    main()
