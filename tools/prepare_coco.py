"""Check a COCO folder and make every file that the configs need.

Expected layout, as the archives of cocodataset.org unpack::

    ROOT/annotations/instances_train2017.json, instances_val2017.json
    ROOT/annotations/image_info_unlabeled2017.json
    ROOT/train2017/, ROOT/val2017/, ROOT/unlabeled2017/

Written: ROOT/annotations/semi/ (label splits, 1/2/5/10 % and 5 folds by default) and
ROOT/annotations/instances_unlabeled2017.json; with --coco20 also the part of
train2017 that shows VOC's 20 classes, as an unlabelled set beside VOC.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from make_splits import add_split_arguments, run

from ssod_mm.cli.arguments import make_parser
from ssod_mm.cli.errors import one_line_errors


def parse_args() -> argparse.Namespace:
    """Command line of this tool."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--root", type=Path, default=Path("data/coco"), help="the folder"
    )
    parser.add_argument(
        "--no-unlabeled2017",
        action="store_true",
        help="do without unlabeled2017, which only the full setting needs",
    )
    parser.add_argument(
        "--coco20", action="store_true", help="also write the VOC classes' images"
    )
    add_split_arguments(parser)
    return parser.parse_args()


def write_coco20(train_json: Path) -> None:
    """Write the images with VOC classes, without annotations and with, apart."""
    from ssod_mm.coco_json import read_coco_json
    from ssod_mm.data.coco20 import filter_coco20
    from ssod_mm.data.split_files import boxes_only, without_annotations, write_json

    document = filter_coco20(read_coco_json(train_json))
    stem = train_json.with_name(f"{train_json.stem}_coco20")
    unlabelled = Path(f"{stem}-unlabeled.json")
    write_json(unlabelled, without_annotations(document))
    write_json(Path(f"{stem}-hidden.json"), boxes_only(document))
    print(f"{unlabelled}: {len(document['images'])} images with VOC's 20 classes")


def main() -> None:
    """Check, then write."""
    args = parse_args()
    from ssod_mm.data.coco_layout import check_coco_layout, unlabelled_with_categories
    from ssod_mm.data.split_files import write_json

    with one_line_errors():
        check_coco_layout(args.root, unlabeled2017=not args.no_unlabeled2017)
        annotations = args.root / "annotations"
        train_json = annotations / "instances_train2017.json"
        if not args.no_unlabeled2017:
            document = unlabelled_with_categories(
                annotations / "image_info_unlabeled2017.json",
                annotations / "instances_val2017.json",
            )
            path = annotations / "instances_unlabeled2017.json"
            write_json(path, document)
            print(f"{path}: {len(document['images'])} images")
        if args.coco20:
            write_coco20(train_json)
        run(args, train_json, annotations / "semi")


if __name__ == "__main__":
    main()
