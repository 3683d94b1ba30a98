"""Images per second and worker of our weak + strong views against mmdet's own.

Both pipelines read the same files, make views of the same sizes and run in turns in
one process with one thread, as in a worker of a data loader. The table gives the
median over the rounds and the ratio of each round (median, least, largest).

    python tools/benchmark_pipeline.py
    python tools/benchmark_pipeline.py --images data/coco/val2017 --num 64
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import mmdet
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from terminaltables import AsciiTable

import ssod_mm.data  # noqa: F401  (registers the transforms)
from ssod_mm.cli.arguments import make_parser
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.views import view_pipelines
from ssod_mm.data.views import build_pipeline

SMALL = dict(preset="soft_teacher", scale=(304, 228), ratio=(0.75, 1.25))
FAMILIES = {
    "soft_teacher": (dict(preset="soft_teacher"), (640, 480)),
    "small": (SMALL, (352, 264)),
}
"""Views, and (width, height) of the images, by name."""
STOCK = (
    Path(mmdet.__file__).parent / ".mim/configs/_base_/datasets/semi_coco_detection.py"
)
IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp"}


def make_images(folder: Path, size: tuple[int, int], num: int, seed: int) -> list[str]:
    """Write seeded JPEGs of soft random texture and return their paths.

    Args:
        folder: where they go.
        size: (width, height) in pixels.
        num: how many.
        seed: of the random generator.
    """
    rng = np.random.default_rng(seed)
    paths = []
    for index in range(num):
        coarse = rng.integers(0, 256, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8)
        img = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
        img = cv2.add(img, rng.integers(0, 16, img.shape, dtype=np.uint8))
        paths.append(str(folder / f"{size[0]}x{size[1]}_{index:03d}.jpg"))
        cv2.imwrite(paths[-1], img)
    return paths


def find_images(folder: Path, num: int) -> list[str]:
    """The first ``num`` images of a folder.

    Raises:
        FileNotFoundError: if the folder is missing or holds no image.
    """
    images = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not images:
        raise FileNotFoundError(
            f"--images {folder}: no such folder, or no image in it."
        )
    return [str(path) for path in images[:num]]


def stock_pipeline(random_view: Mapping) -> list[dict]:
    """The unlabelled pipeline of mmdet, resizing as one of our views does."""
    resize = dict(type="RandomResize", scale=random_view["scale"], keep_ratio=True)
    if "ratio" in random_view:
        resize["ratio_range"] = random_view["ratio"]
    pipeline = Config.fromfile(STOCK).unsup_pipeline
    for branch in ("unsup_teacher", "unsup_student"):
        pipeline[-1][branch][0] = resize
    return pipeline


def seconds(pipeline: Callable[[dict], dict], paths: Sequence[str]) -> float:
    """Wall time in seconds of one pass over the images."""
    items = [
        {"img_path": path, "img_id": index, "instances": []}
        for index, path in enumerate(paths)
    ]
    start = time.perf_counter()
    for item in items:
        pipeline(item)
    return time.perf_counter() - start


def compare(
    paths: Sequence[str], ours: Callable, stock: Callable, rounds: int, seed: int
) -> list[str]:
    """One row of the table: images per second of both and their ratio.

    Args:
        paths: images of one size.
        ours: our pipeline.
        stock: mmdet's pipeline.
        rounds: passes over the images for each, in turns.
        seed: of the first round; the same for both within a round.
    """
    times = {"ours": [], "stock": []}
    for turn in range(-1, rounds):
        for name, pipeline in (("ours", ours), ("stock", stock)):
            np.random.seed(seed + turn + 1)
            spent = seconds(pipeline, paths)
            if turn >= 0:  # the first pass of each only warms up
                times[name].append(spent)
    ratios = np.divide(times["stock"], times["ours"])
    rates = {name: len(paths) / np.median(spent) for name, spent in times.items()}
    return [
        f"{rates['ours']:.1f}",
        f"{rates['stock']:.1f}",
        f"{np.median(ratios):.2f} ({ratios.min():.2f}-{ratios.max():.2f})",
    ]


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--images", type=Path, help="folder of images (default: drawn ones)"
    )
    parser.add_argument("--num", type=int, default=16, help="images of each size")
    parser.add_argument("--rounds", type=int, default=5, help="passes of each pipeline")
    parser.add_argument("--seed", type=int, default=0, help="of the drawings")
    args = parser.parse_args()
    if min(args.num, args.rounds) < 1:
        parser.error("--num and --rounds must be at least 1")
    return args


def main() -> None:
    """Measure and print the table."""
    args = parse_args()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    init_default_scope("mmdet")
    rows = [["views", "images", "ours, images/s", "mmdet, images/s", "ratio (spread)"]]
    with tempfile.TemporaryDirectory() as folder:
        for name, (views, size) in FAMILIES.items():
            if args.images:
                paths, label = find_images(args.images, args.num), str(args.images)
            else:
                paths = make_images(Path(folder), size, args.num, args.seed)
                label = f"{size[0]} x {size[1]} JPEG"
            unlabelled = view_pipelines({**views, "test_scale": size})["unlabelled"]
            stock = build_pipeline(stock_pipeline(unlabelled[-1]["weak"][0]))
            ours = build_pipeline(unlabelled)
            row = compare(paths, ours, stock, args.rounds, args.seed)
            rows.append([name, f"{len(paths)} of {label}", *row])
    print(AsciiTable(rows, "weak and strong view, one worker").table)


if __name__ == "__main__":
    with one_line_errors():
        main()
