"""Export for stock mmdet: python tools/export_detector.py CONFIG CHECKPOINT --out DIR.

DIR gets a config and a checkpoint of the teacher or of the student that
mmdet.apis.init_detector loads without this package.
"""

from __future__ import annotations

import argparse

from ssod_mm.cli.arguments import (
    add_config_arguments,
    add_trust_argument,
    config_overrides,
)
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_config_arguments(parser)
    parser.add_argument("checkpoint", help="file of weights")
    parser.add_argument("--out", required=True, help="output folder")
    parser.add_argument(
        "--which",
        choices=["teacher", "student"],
        help="default: the one that the config's semi_test_cfg.predict_on names",
    )
    parser.add_argument(
        "--keep-custom",
        action="store_true",
        help="export a detector with modules of ssod_mm all the same; its config "
        "then imports ssod_mm",
    )
    add_trust_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Export."""
    arguments = parse_arguments()
    with one_line_errors():
        cfg = resolve_config(
            load_config(arguments.config, arguments.cfg_options),
            check_files=(),
            **config_overrides(arguments),
        )
        # Only now, so that a mistake in the command is reported at once.
        from ssod_mm.apis.export import export_detector
        from ssod_mm.checkpoints import trust_checkpoints

        trust_checkpoints(arguments.trust_checkpoint)
        config, weights = export_detector(
            cfg,
            arguments.checkpoint,
            arguments.which,
            arguments.out,
            arguments.keep_custom,
        )
        print(f"{config}\n{weights}")


if __name__ == "__main__":
    main()
