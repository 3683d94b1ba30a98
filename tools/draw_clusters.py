"""Draw NMS clusters: python tools/draw_clusters.py CONFIG CHECKPOINT --out DIR.

CONFIG is one of configs/dtg, CHECKPOINT one of its training. Unlabelled training images
are drawn, one picture each: on top the largest clusters on the teacher's weak and the
student's strong view, with the rank and score of their best candidates; below, the
proposals that label assignment by IoU would label otherwise (figures 3 and 4 of the
DTG paper).
"""

from __future__ import annotations

import argparse

from ssod_mm.cli.arguments import (
    add_config_arguments,
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
    add_config_arguments(parser)
    parser.add_argument("checkpoint", help="file of weights of teacher and student")
    parser.add_argument("--out", required=True, help="output folder")
    parser.add_argument("--images", type=int, default=8, help="number of pictures")
    parser.add_argument("--clusters", type=int, default=4, help="largest ones, each")
    parser.add_argument("--ranks", type=int, default=6, help="best candidates of each")
    parser.add_argument(
        "--device", help="such as cpu or cuda:1 (default: CUDA if there is any)"
    )
    add_trust_argument(parser)
    return parser.parse_args()


def main() -> None:
    """Draw."""
    arguments = parse_arguments()
    with one_line_errors():
        cfg = resolve_config(
            load_config(arguments.config),
            **config_overrides(arguments),
        )
        # Only now, so that a mistake in the command is reported at once.
        from mmengine.device import get_device

        from ssod_mm.apis.cluster_drawing import draw_clusters
        from ssod_mm.checkpoint_files import trust_checkpoints

        trust_checkpoints(arguments.trust_checkpoint)
        files = draw_clusters(
            cfg,
            arguments.checkpoint,
            arguments.out,
            arguments.device or get_device(),
            arguments.images,
            arguments.clusters,
            arguments.ranks,
        )
        print(f"\n{len(files)} pictures: {arguments.out}")


if __name__ == "__main__":
    main()
