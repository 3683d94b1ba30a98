"""Draw what teacher and student see.

Each unlabelled image gives one PNG with the weak view on the left and the strong view
on the right; erased patches are outlined. True boxes are drawn in green where the
config's hidden_ann_file (or --hidden) has them, mapped into each view by its own
homography. Labelled images show the boxes that the student is taught.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ssod_mm.cli.arguments import (
    add_config_arguments,
    config_overrides,
    make_parser,
)
from ssod_mm.cli.errors import one_line_errors


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add_config_arguments(parser)
    parser.add_argument("--num", type=int, default=8, help="images of each source")
    parser.add_argument(
        "--out", type=Path, default=Path("work_dirs/views"), help="output folder"
    )
    parser.add_argument(
        "--hidden",
        help="json with the withheld true boxes (default: the config's)",
    )
    arguments = parser.parse_args()
    if arguments.num < 1:
        parser.error(f"--num {arguments.num} must be at least 1")
    return arguments


def main() -> None:
    """Draw."""
    arguments = parse_arguments()
    from ssod_mm.apis.training import training_config

    with one_line_errors():
        cfg = training_config(
            arguments.config, **config_overrides(arguments), check_files=("train",)
        )
        # Only now, so that a mistake in the command is reported at once.
        from ssod_mm.apis.browsing import browse

        paths = browse(cfg, arguments.num, arguments.out, arguments.hidden)
    print(f"{len(paths)} pictures in {arguments.out}")


if __name__ == "__main__":
    main()
