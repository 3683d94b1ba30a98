"""Export a trained detector for stock mmdet.

The output folder gets a config and a checkpoint of the teacher or of the student that
mmdet.apis.init_detector loads without this package.
"""

from __future__ import annotations

import argparse

from ssod_mm.cli.arguments import (
    add_override_arguments,
    add_target_argument,
    add_trust_argument,
    add_which_argument,
    make_parser,
    using_overrides,
)
from ssod_mm.cli.errors import one_line_errors


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    add_target_argument(parser)
    parser.add_argument("checkpoint", help="file of weights")
    parser.add_argument("--out", required=True, help="output folder")
    add_which_argument(parser)
    parser.add_argument(
        "--keep-custom",
        action="store_true",
        help="export a detector with modules of ssod_mm all the same; its config "
        "then imports ssod_mm",
    )
    add_override_arguments(parser, seed=False)
    add_trust_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Export."""
    arguments = parse_arguments()
    from ssod_mm.apis.using import export

    with one_line_errors():
        files = export(
            arguments.config,
            arguments.checkpoint,
            out=arguments.out,
            which=arguments.which,
            keep_custom=arguments.keep_custom,
            trust_checkpoint=arguments.trust_checkpoint,
            **using_overrides(arguments),
        )
        print(f"{files.config}\n{files.weights}")


if __name__ == "__main__":
    main()
