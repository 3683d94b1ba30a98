"""Pictures of what teacher and student see of the training images."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import Tensor

from ssod_mm.data.datasets import seeded_draw
from ssod_mm.engine.runtime import import_custom_modules
from ssod_mm.evaluation import drawing
from ssod_mm.evaluation.hidden_truth import HiddenTruth, to_view_frame

TITLES = {
    "sup": "labelled view",
    "unsup_teacher": "teacher: weak view",
    "unsup_student": "student: strong view",
}
PATCH_COLOUR = (230, 60, 60)


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
            with seeded_draw(seed + position):
                item = source[position]
            paths.append(_write_item(item, truth, classes, out / f"source{number}"))
    return paths


def _write_item(
    item: dict, truth: HiddenTruth | None, classes: tuple[str, ...], stem: Path
) -> Path:
    """Draw the views of one item side by side into ``<stem>_<image name>.png``."""
    if not isinstance(item["inputs"], dict):
        item = {key: {"sup": value} for key, value in item.items()}
    samples = {k: v for k, v in item["data_samples"].items() if v is not None}
    views = [
        draw_view(item["inputs"][branch], sample, TITLES[branch], truth, classes)
        for branch, sample in samples.items()
    ]
    name = Path(next(iter(samples.values())).img_path).stem
    path = stem.with_name(f"{stem.name}_{name}.png")
    cv2.imwrite(str(path), cv2.cvtColor(drawing.side_by_side(views), cv2.COLOR_RGB2BGR))
    return path
