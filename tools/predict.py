"""Detect objects: python tools/predict.py CONFIG CHECKPOINT IMAGES... --out DIR.

IMAGES are files or folders. DIR gets the drawn images in drawn/ and all detections
in predictions.json (COCO format with scores).
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
    parser.add_argument("images", nargs="+", help="image files, folders of images")
    parser.add_argument("--out", required=True, help="output folder")
    parser.add_argument(
        "--which",
        choices=["teacher", "student"],
        help="default: the one that the config's semi_test_cfg.predict_on names",
    )
    parser.add_argument(
        "--score-thr", type=float, default=0.3, help="least class probability"
    )
    parser.add_argument("--device", help="default: CUDA if there is any")
    add_trust_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Predict."""
    arguments = parse_arguments()
    with one_line_errors():
        cfg = resolve_config(
            load_config(arguments.config, arguments.cfg_options),
            check_files=(),
            **config_overrides(arguments),
        )
        # Only now, so that a mistake in the command is reported at once.
        from mmengine.device import get_device

        from ssod_mm.apis.predictions import predict_files
        from ssod_mm.checkpoints import trust_checkpoints

        trust_checkpoints(arguments.trust_checkpoint)
        summary = predict_files(
            cfg,
            arguments.checkpoint,
            arguments.which,
            arguments.images,
            arguments.out,
            arguments.score_thr,
            arguments.device or get_device(),
        )
        print(f"\n{summary}")


if __name__ == "__main__":
    main()
