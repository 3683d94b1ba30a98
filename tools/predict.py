"""Detect objects on images and videos.

IMAGES are files, folders, or patterns such as "shots/*.png". The output folder gets
the drawn images and videos in drawn/ and all detections in predictions.json (COCO
format with scores; a frame of a video is an image VIDEO/NUMBER).
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
    parser.add_argument("images", nargs="+", help="images, videos, folders, patterns")
    parser.add_argument("--out", required=True, help="output folder")
    add_which_argument(parser)
    parser.add_argument(
        "--score-thr",
        type=float,
        default=0.3,
        help="least class probability, from 0 to 1 (default: %(default)s)",
    )
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: CUDA if there is any)"
    )
    add_override_arguments(parser, seed=False)
    add_trust_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Predict."""
    arguments = parse_arguments()
    from ssod_mm.apis.using import predict

    with one_line_errors():
        prediction = predict(
            arguments.config,
            arguments.checkpoint,
            arguments.images,
            out=arguments.out,
            which=arguments.which,
            score_thr=arguments.score_thr,
            device=arguments.device,
            trust_checkpoint=arguments.trust_checkpoint,
            **using_overrides(arguments),
        )
    print(f"\n{prediction}")


if __name__ == "__main__":
    main()
