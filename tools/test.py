"""Evaluate a checkpoint on the test set of a config.

The checkpoint may hold a plain detector or teacher and student, and so may the
config, in any combination. Several checkpoints are tested together, as an ensemble.
The test set is the validation set of the data folder; --cfg-options data_root=FOLDER
takes another folder's, whose classes must have the same names.
"""

from __future__ import annotations

import argparse

from ssod_mm.cli.arguments import (
    add_config_arguments,
    add_launcher_argument,
    add_trust_argument,
    config_overrides,
    make_parser,
    set_local_rank,
)
from ssod_mm.cli.errors import one_line_errors


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add_config_arguments(parser)
    parser.add_argument(
        "checkpoint", nargs="+", help="file of weights; several: their joint detections"
    )
    parser.add_argument(
        "--which",
        choices=["teacher", "student", "both"],
        help="whose predictions count (default: both, or the teacher where the config "
        "has a plain detector)",
    )
    parser.add_argument(
        "--out", help="json file for the results (default: only in the log)"
    )
    parser.add_argument(
        "--check",
        "--check-files",
        action="store_true",
        help="only check options, config and data files, in a fraction of a second",
    )
    add_trust_argument(parser)
    add_launcher_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Test."""
    arguments = parse_arguments()
    from ssod_mm.apis.testing import evaluation_config, results_table, test

    set_local_rank(arguments)
    target = arguments.config, arguments.checkpoint
    overrides = config_overrides(arguments)
    with one_line_errors():
        if arguments.check:
            evaluation_config(*target, arguments.which, **overrides)
            print(f"{arguments.config}: options, config and data files are in order")
            return
        results = test(
            *target,
            which=arguments.which,
            out=arguments.out,
            launcher=arguments.launcher,
            trust_checkpoint=arguments.trust_checkpoint,
            **overrides,
        )
    from mmengine.dist import is_main_process

    if is_main_process():
        print(results_table(results, ", ".join(arguments.checkpoint)))


if __name__ == "__main__":
    main()
