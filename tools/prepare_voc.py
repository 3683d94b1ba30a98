"""Convert PASCAL VOC to the COCO json files that the configs need.

Expected layout, as the archives of VOC2007 (trainval and test) and VOC2012 unpack::

    ROOT/VOC2007/Annotations/, JPEGImages/, ImageSets/Main/trainval.txt, test.txt
    ROOT/VOC2012/Annotations/, JPEGImages/, ImageSets/Main/trainval.txt

Written to ROOT/annotations: voc07_trainval.json, voc12_trainval.json,
voc12_trainval-unlabeled.json (the same images without annotations) and
voc07_test.json. File names in them are relative to ROOT.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ssod_mm.cli.arguments import make_parser
from ssod_mm.cli.errors import one_line_errors

PARTS = ((2007, "trainval"), (2012, "trainval"), (2007, "test"))


def parse_args() -> argparse.Namespace:
    """Command line of this tool."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--root", type=Path, default=Path("data/VOCdevkit"), help="the folder"
    )
    parser.add_argument(
        "--out", type=Path, help="output folder (default: ROOT/annotations)"
    )
    parser.add_argument(
        "--difficult",
        choices=["flag", "crowd", "drop"],
        default="flag",
        help="difficult objects: flag = kept and flagged, COCO-style evaluation "
        "counts them; crowd = COCO-style evaluation ignores them; drop = left out",
    )
    return parser.parse_args()


def main() -> None:
    """Check all parts, then convert them."""
    args = parse_args()
    from terminaltables import AsciiTable

    from ssod_mm.data.split_files import without_annotations, write_json
    from ssod_mm.data.voc import missing_voc_parts, voc_to_coco

    out_dir = args.out or args.root / "annotations"
    rows = [["file", "images", "objects", "difficult"]]
    with one_line_errors():
        missing = [p for part in PARTS for p in missing_voc_parts(args.root, *part)]
        if missing:
            names = ", ".join(map(str, dict.fromkeys(missing)))
            raise FileNotFoundError(f"VOCdevkit in {args.root} (--root) lacks {names}")
        for year, image_set in PARTS:
            document = voc_to_coco(args.root, year, image_set, args.difficult)
            path = out_dir / f"voc{year % 100:02d}_{image_set}.json"
            write_json(path, document)
            annotations = document["annotations"]
            num_difficult = sum(bool(a["difficult"]) for a in annotations)
            counts = len(document["images"]), len(annotations), num_difficult
            rows.append([str(path), *map(str, counts)])
            if year == 2012:
                path = path.with_name(f"{path.stem}-unlabeled.json")
                write_json(path, without_annotations(document))
                rows.append([str(path), str(counts[0]), "0", "0"])
        print(AsciiTable(rows).table)


if __name__ == "__main__":
    main()
