"""Draw what teacher and student see: python tools/browse_views.py CONFIG --num 8.

Each unlabelled image gives one PNG with the weak view on the left and the strong view
on the right; erased patches are outlined. True boxes are drawn in green where the
config's hidden_ann_file (or --hidden) has them, mapped into each view by its own
homography. Labelled images show the boxes that the student is taught.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from ssod_mm.cli.arguments import add_config_arguments, config_overrides
from ssod_mm.cli.errors import one_line_errors
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.resolve import resolve_config

if TYPE_CHECKING:
    import numpy as np
    from mmdet.structures import DetDataSample
    from mmengine.config import Config
    from torch import Tensor

    from ssod_mm.evaluation.hidden_truth import HiddenTruth

TITLES = {
    "sup": "labelled view",
    "unsup_teacher": "teacher: weak view",
    "unsup_student": "student: strong view",
}
PATCH_COLOUR = (230, 60, 60)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_config_arguments(parser)
    parser.add_argument("--num", type=int, default=8, help="images of each source")
    parser.add_argument("--out", type=Path, default=Path("work_dirs/views"))
    parser.add_argument("--hidden", help="json with the withheld true boxes")
    arguments = parser.parse_args()
    if arguments.num < 1:
        parser.error(f"--num {arguments.num} must be at least 1")
    return arguments


def draw_view(
    inputs_3HW: Tensor,
    sample: DetDataSample,
    title: str,
    truth: HiddenTruth | None,
    classes: tuple[str, ...],
) -> np.ndarray:
    """One view with its boxes, (H, W, 3) uint8 RGB.

    Args:
        inputs_3HW: the packed view, uint8 BGR.
        sample: its data sample.
        title: what to write above it.
        truth: true boxes in pixels of the original image, for views without labels.
        classes: class names.
    """
    import numpy as np

    from ssod_mm.evaluation import drawing
    from ssod_mm.evaluation.hidden_truth import to_view_frame

    picture = np.ascontiguousarray(inputs_3HW.numpy().transpose(1, 2, 0)[..., ::-1])
    scale = drawing.legible_scale(picture)
    picture = drawing.enlarged(picture, scale)
    known = truth.find(sample.img_path) if truth else None
    boxes, labels = sample.gt_instances.bboxes, sample.gt_instances.labels
    boxes = getattr(boxes, "tensor", boxes)
    if known is not None and not len(boxes):
        boxes, labels = to_view_frame(known.bboxes, sample), known.labels
    patches = sample.erased_patches
    drawing.draw_boxes(picture, patches * scale, [""] * len(patches), PATCH_COLOUR, 1)
    names = [classes[label] for label in labels.tolist()]
    drawing.draw_boxes(picture, boxes.numpy() * scale, names, drawing.TRUTH_COLOUR, 1)
    height, width = sample.img_shape
    return drawing.titled(picture, f"{title}, {width} x {height}")


def browse(cfg: Config, num: int, out: Path, hidden: str | None) -> list[Path]:
    """Write the pictures and return their paths.

    Args:
        cfg: a complete config.
        num: images of each source of the training set, at least 1.
        out: folder of the pictures.
        hidden: json with true boxes; None for the config's ``hidden_ann_file``.

    Raises:
        FileNotFoundError: no such file ``hidden``.
    """
    from mmdet.registry import DATASETS
    from mmengine.registry import init_default_scope

    import ssod_mm.data  # registers data sets and transforms
    from ssod_mm.engine.runtime import import_custom_modules
    from ssod_mm.evaluation.hidden_truth import HiddenTruth

    import_custom_modules(cfg)
    init_default_scope(cfg.get("default_scope", "mmdet"))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    classes = dataset.metainfo["classes"]
    truth_file = hidden or cfg.get("hidden_ann_file")
    truth = None
    if hidden or (truth_file and Path(truth_file).is_file()):
        truth = HiddenTruth(truth_file, classes, "--hidden")
    out.mkdir(parents=True, exist_ok=True)
    sources = getattr(dataset, "datasets", [dataset])
    seed = int(cfg.get("seed") or 0)
    paths = []
    for number, source in enumerate(sources):
        step = max(len(source) // num, 1)
        for position in range(0, min(step * num, len(source)), step):
            with ssod_mm.data.datasets.seeded_draw(seed + position):
                item = source[position]
            paths.append(_write_item(item, truth, classes, out / f"source{number}"))
    return paths


def _write_item(
    item: dict, truth: HiddenTruth | None, classes: tuple[str, ...], stem: Path
) -> Path:
    """Draw the views of one item side by side into ``<stem>_<image name>.png``."""
    import cv2

    from ssod_mm.evaluation.drawing import side_by_side

    if not isinstance(item["inputs"], dict):
        item = {key: {"sup": value} for key, value in item.items()}
    samples = {k: v for k, v in item["data_samples"].items() if v is not None}
    views = [
        draw_view(item["inputs"][branch], sample, TITLES[branch], truth, classes)
        for branch, sample in samples.items()
    ]
    name = Path(next(iter(samples.values())).img_path).stem
    path = stem.with_name(f"{stem.name}_{name}.png")
    cv2.imwrite(str(path), cv2.cvtColor(side_by_side(views), cv2.COLOR_RGB2BGR))
    return path


def main() -> None:
    """Draw."""
    arguments = parse_arguments()
    with one_line_errors():
        cfg = resolve_config(
            load_config(arguments.config, arguments.cfg_options),
            **config_overrides(arguments),
            check_files=("train",),
        )
        paths = browse(cfg, arguments.num, arguments.out, arguments.hidden)
    print(f"{len(paths)} pictures in {arguments.out}")


if __name__ == "__main__":
    main()
