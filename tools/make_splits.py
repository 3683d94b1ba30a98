"""Split a COCO json into labelled and unlabelled images.

For each ratio and fold it writes a labelled json, an unlabelled one without any
annotation, and the withheld boxes for analysis, and prints counts and checksums.
Images are drawn without replacement, and within a fold the ratios are nested.
With --index-list the images come from a published file of indices instead.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ssod_mm.cli.arguments import make_parser
from ssod_mm.cli.errors import one_line_errors

EPILOG = """\
Examples: --ann data/coco/annotations/instances_train2017.json
          --ann train.json --percent 10 --fold 3 --seed 1

An index list file is one json object {percent: {fold: [index, ...]}}, where an index
is a position, from 0, in the image ids in ascending order. COCO_supervision.txt of
Unbiased Teacher has this form, with folds 0 to 9, and counts only images that have an
annotation that is not a crowd (--index-pool annotated).
"""


def parse_args() -> argparse.Namespace:
    """Command line of this tool."""
    parser = make_parser(__doc__, epilog=EPILOG)
    parser.add_argument(
        "--ann", type=Path, required=True, help="COCO json to split, or data folder"
    )
    parser.add_argument(
        "--out", type=Path, help="output folder (default: semi/ beside the json)"
    )
    add_split_arguments(parser)
    return parser.parse_args()


def positive_int(text: str) -> int:
    """A whole number from 1."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def add_split_arguments(parser: argparse.ArgumentParser) -> None:
    """Options that say which splits are made."""
    parser.add_argument(
        "--percent",
        type=float,
        nargs="+",
        default=[1, 2, 5, 10],
        help="labelled images in percent (default: 1 2 5 10)",
    )
    folds = parser.add_mutually_exclusive_group()
    folds.add_argument(
        "--folds",
        type=positive_int,
        nargs="+",
        default=[5],
        help="one number N: folds 1 to N; several: these (default: 5)",
    )
    folds.add_argument("--fold", type=int, help="this fold only (default: --folds)")
    parser.add_argument("--seed", type=int, default=0, help="seed (default: 0)")
    parser.add_argument(
        "--index-list", type=Path, help="file of index lists (default: a draw)"
    )
    parser.add_argument(
        "--index-pool",
        choices=["annotated", "all"],
        default="annotated",
        help="the images that --index-list counts (default: annotated)",
    )
    parser.add_argument(
        "--no-hidden",
        action="store_true",
        help="do not write the withheld boxes, which pseudo-label statistics need",
    )
    parser.add_argument(
        "--force", action="store_true", help="replace files of another seed or scheme"
    )


def chosen_folds(args: argparse.Namespace) -> list[int]:
    """Fold numbers that ``--folds`` or ``--fold`` asks for."""
    if args.fold is not None:
        return [args.fold]
    if len(args.folds) > 1:
        return sorted(set(args.folds))
    return list(range(1, args.folds[0] + 1))


def run(args: argparse.Namespace, ann_file: Path, out_dir: Path) -> None:
    """Write the splits of a file and print what they hold."""
    from ssod_mm.data.split_files import class_table, make_splits, split_table

    reports = make_splits(
        ann_file,
        out_dir,
        sorted(set(args.percent)),
        chosen_folds(args),
        args.seed,
        index_list=args.index_list,
        index_pool=args.index_pool,
        hidden=not args.no_hidden,
        force=args.force,
        on_written=lambda report: print(
            f"{report.paths['labelled']}: written", flush=True
        ),
    )
    print(split_table(reports))
    print(class_table(reports))
    num_files = sum(len(report.paths) for report in reports)
    print(f"{num_files} files in {out_dir}")


def main() -> None:
    """Split one file."""
    args = parse_args()
    with one_line_errors():
        ann_file = args.ann
        if ann_file.is_dir():
            from ssod_mm.formats.convert import TRAIN_JSON, coco_folder

            ann_file = coco_folder(ann_file) / TRAIN_JSON
        run(args, ann_file, args.out or ann_file.parent / "semi")


if __name__ == "__main__":
    main()
