"""Print a config as it would be run.

With --diff, only what it changes: a config against those that it inherits from, a row
of a sweep (SWEEP:ROW) against the row that it is of, or either against another one.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout

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
    parser.add_argument(
        "--diff",
        nargs="?",
        const="",
        metavar="OTHER",
        help="print the differences from OTHER, or from what it inherits or is of "
        "(default: print the whole config)",
    )
    return parser.parse_args()


def output_text(arguments: argparse.Namespace) -> str:
    """The config with the command line's overrides, or its differences."""
    from ssod_mm.cli.lookup import changed_keys
    from ssod_mm.cli.resolve import resolve_config
    from ssod_mm.sweep.targets import load_reference, load_target

    cfg = load_target(arguments.config, arguments.percent)
    if arguments.diff is None:
        cfg = resolve_config(cfg, check_files=(), **config_overrides(arguments))
        return cfg.pretty_text.rstrip()
    if arguments.diff:
        other = load_target(arguments.diff, arguments.percent)
    else:
        other = load_reference(arguments.config, arguments.percent)
    changes = changed_keys(other, cfg).items()
    return "\n".join(f"{key}\n  - {old}\n  + {new}" for key, (old, new) in changes)


def main() -> None:
    """Print."""
    arguments = parse_arguments()
    with one_line_errors():
        # Warnings go to stderr, so that the output can be saved as a config.
        with redirect_stdout(sys.stderr):
            text = output_text(arguments)
        print(text)


if __name__ == "__main__":
    main()
