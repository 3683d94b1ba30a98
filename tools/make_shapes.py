"""Draws the embedded shapes dataset and its label splits.

    python tools/make_shapes.py --out data/shapes

A finished set with the same parameters is left alone, so the command costs nothing
the second time. ``--sheet`` also writes a picture of some images with their boxes.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np

from ssod_mm.cli.arguments import make_parser
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.data.shapes import ShapesSpec, make_shapes
from ssod_mm.data.shapes.glyphs import CLASS_PALETTE
from ssod_mm.data.split_files import make_splits, split_table


def parse_args() -> argparse.Namespace:
    """Command line of this tool."""
    defaults = ShapesSpec()
    parser = make_parser(__doc__)
    parser.add_argument("--out", type=Path, default=Path("data/shapes"), help="folder")
    parser.add_argument(
        "--num-train", type=int, default=defaults.num_train, help="training images"
    )
    parser.add_argument(
        "--num-val", type=int, default=defaults.num_val, help="validation images"
    )
    parser.add_argument(
        "--num-unlabelled",
        type=int,
        default=defaults.num_unlabelled,
        help="extra images without annotations, in OUT/unlabelled",
    )
    parser.add_argument(
        "--seed", type=int, default=defaults.seed, help="of the drawings"
    )
    parser.add_argument("--workers", type=int, default=2, help="drawing processes")
    parser.add_argument(
        "--percents", type=float, nargs="*", default=[5, 10], help="of the splits"
    )
    parser.add_argument(
        "--folds", type=int, nargs="*", default=[1, 2, 3], help="of the splits"
    )
    parser.add_argument(
        "--sheet", type=Path, help="picture of the first images (default: none)"
    )
    return parser.parse_args()


def show_progress(part: str, done: int, total: int) -> None:
    """One line that is rewritten on a terminal, a line per quarter in a log."""
    line = f"drawing {part}: {done}/{total}"
    if sys.stdout.isatty():
        print(f"\r{line}", end="\n" if done == total else "", flush=True)
    elif done == total or done % max(total // 100 * 25, 25) == 0:
        print(line, flush=True)


def contact_sheet(root: Path, num_images: int = 18, columns: int = 6) -> np.ndarray:
    """The first training images at twice their size, with boxes, as (H, W, 3) BGR."""
    coco = json.loads((root / "annotations" / "instances_train.json").read_text())
    images = coco["images"][:num_images]
    side = 2 * max(max(image["width"], image["height"]) for image in images) + 8
    tiles = []
    for record in images:
        image = cv2.imread(str(root / "train" / record["file_name"]))
        image = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        for annotation in coco["annotations"]:
            if annotation["image_id"] == record["id"]:
                x, y, w, h = (2 * value for value in annotation["bbox"])
                colour = CLASS_PALETTE[annotation["category_id"] - 1][::-1]
                cv2.rectangle(image, (x, y), (x + w - 1, y + h - 1), colour, 2)
        tile = np.full((side, side, 3), 255, np.uint8)
        top, left = ((side - extent) // 2 for extent in image.shape[:2])
        tile[top : top + image.shape[0], left : left + image.shape[1]] = image
        tiles.append(tile)
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def run(args: argparse.Namespace) -> None:
    """Draws, splits and, when asked, shows."""
    spec = ShapesSpec(
        num_train=args.num_train,
        num_val=args.num_val,
        num_unlabelled=args.num_unlabelled,
        seed=args.seed,
    )
    drawn = make_shapes(args.out, spec, args.workers, show_progress)
    print(f"{args.out}: {'drawn' if drawn else 'already there, kept'}")
    annotations = args.out / "annotations"
    reports = make_splits(
        annotations / "instances_train.json",
        annotations / "semi",
        percents=args.percents,
        folds=args.folds,
    )
    if reports:
        print(split_table(reports))
    if args.sheet:
        args.sheet.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(args.sheet), contact_sheet(args.out))
        print(f"{args.sheet}: written")


def main() -> None:
    """Makes the set that the command line describes."""
    args = parse_args()
    with one_line_errors():
        run(args)


if __name__ == "__main__":
    main()
