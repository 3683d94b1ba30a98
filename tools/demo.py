"""Train, compare and draw: semi-supervised methods with the same few labels.

    ssod demo                          all methods on the embedded shapes
    ssod demo --data path/to/folder    supervised against mean teacher on your own data

`make demo` and `make demo DATA=path/to/folder` are the same, with the set-up before.

This is the sweep `shapes`, or `folder` for your own data, on one label split with one
seed. Every row has a first phase on the labelled images and goes on from its weights
for as many iterations. Without a GPU two trainings run at a time. The same command
again goes on where it was stopped and trains nothing twice.

The folder is one of COCO json, YOLO or VOC, see docs/own_data.md. What is written:
results.md, curves.png, pseudo_labels.png, report.html, log.txt and a folder for each
training.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from ssod_mm.cli.arguments import make_parser, ratio_number
from ssod_mm.cli.errors import one_line_errors


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help="folder with your own data (default: the embedded shapes)",
    )
    parser.add_argument(
        "--rows",
        nargs="+",
        help="rows of the sweep to train, or: all (default: all of the shapes, "
        "supervised and mean_teacher with --data)",
    )
    parser.add_argument(
        "--percent",
        type=ratio_number,
        help="labelled images in percent (default: the sweep's first ratio)",
    )
    parser.add_argument(
        "--pretrained",
        metavar="WEIGHTS",
        help="with --data: ImageNet weights, a file or a name such as mobilenet_v2 "
        "(default: the variable PRETRAINED, else random weights)",
    )
    parser.add_argument("--fold", type=int, default=1, help="label split, from 1")
    parser.add_argument("--seed", type=int, default=0, help="of the trainings")
    parser.add_argument(
        "--out",
        type=Path,
        help="folder (default: work_dirs/demo, or with --data demo-FOLDER)",
    )
    parser.add_argument(
        "--slots",
        type=int,
        help="trainings at a time (default: one for each GPU; without any, 2)",
    )
    parser.add_argument(
        "--fresh", action="store_true", help="set earlier runs aside and train again"
    )
    parser.add_argument(
        "--iters",
        nargs=2,
        type=int,
        metavar=("FIRST", "SECOND"),
        help="iterations of the phases, for a quick look (default: the sweep's)",
    )
    return parser.parse_args()


def main() -> None:
    """Run the demo."""
    arguments = parse_arguments()
    from ssod_mm.apis.demo import run_demo

    with one_line_errors():
        try:
            sys.exit(run_demo(arguments, partial(print, flush=True)))
        except KeyboardInterrupt:
            print("stopped; the same command goes on from the last checkpoints")
            sys.exit(130)


if __name__ == "__main__":
    main()
