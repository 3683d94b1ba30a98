"""Draw the detections of several runs side by side, one picture for each image.

python tools/compare_drawings.py IMAGES... --run NAME CONFIG CHECKPOINT [--run ...]
    --out DIR

IMAGES are files or folders. --truth FILE.json (COCO format) adds the true boxes as the
first column. DIR/table.md counts each run's boxes and, with a truth, those that are
right.
"""

from __future__ import annotations

import argparse

from ssod_mm.cli.arguments import (
    add_override_arguments,
    add_trust_argument,
    config_overrides,
    make_parser,
)
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument("images", nargs="+", help="image files, folders of images")
    parser.add_argument(
        "--run",
        nargs=3,
        action="append",
        required=True,
        metavar=("NAME", "CONFIG", "CHECKPOINT"),
        help="a column of the pictures; give the option once for each",
    )
    parser.add_argument("--out", required=True, help="output folder")
    parser.add_argument(
        "--truth", metavar="FILE", help="COCO json with true boxes (default: none)"
    )
    parser.add_argument(
        "--which",
        choices=["teacher", "student"],
        help="whose boxes (default: the one that the config's semi_test_cfg.predict_on "
        "names)",
    )
    parser.add_argument(
        "--score-thr", type=float, default=0.5, help="least class probability"
    )
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: CUDA if there is any)"
    )
    add_override_arguments(parser)
    add_trust_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Draw."""
    arguments = parse_arguments()
    with one_line_errors():
        configs = [
            resolve_config(
                load_config(config),
                check_files=(),
                **config_overrides(arguments),
            )
            for _, config, _ in arguments.run
        ]
        # Only now, so that a mistake in the command is reported at once.
        from mmengine.device import get_device

        from ssod_mm.apis.comparison import ComparedModel, compare_drawings
        from ssod_mm.checkpoint_files import trust_checkpoints

        trust_checkpoints(arguments.trust_checkpoint)
        models = [
            ComparedModel(name, cfg, checkpoint)
            for (name, _, checkpoint), cfg in zip(arguments.run, configs, strict=True)
        ]
        summary = compare_drawings(
            models,
            arguments.images,
            arguments.out,
            arguments.which,
            arguments.score_thr,
            arguments.device or get_device(),
            arguments.truth,
        )
        print(f"\n{summary}")


if __name__ == "__main__":
    main()
