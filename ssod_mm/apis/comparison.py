"""Detections of several models on the same images, drawn side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.structures import InstanceData
from mmengine.utils import track_iter_progress

from ssod_mm.apis.inference import load_detector, predict_images
from ssod_mm.apis.predictions import image_files
from ssod_mm.errors import UserError
from ssod_mm.evaluation.drawing import (
    TRUTH_COLOUR,
    detections_picture,
    draw_boxes,
    side_by_side,
    sure_detections,
    titled,
)
from ssod_mm.evaluation.hidden_truth import HiddenTruth
from ssod_mm.evaluation.pseudo_label_metric import PseudoLabelCounts, count_matches
from ssod_mm.reporting.tables import markdown_table, terminal_table

_HEADER = ["", "boxes", "right", "wrong", "missed", "precision", "recall", "IoU"]


@dataclass(frozen=True)
class ComparedModel:
    """One column of the drawings.

    Attributes:
        name: its title.
        cfg: the config of its training, resolved.
        checkpoint: its weights.
    """

    name: str
    cfg: Config
    checkpoint: str | Path


def compare_drawings(
    models: Sequence[ComparedModel],
    sources: Sequence[str | Path],
    out: str | Path,
    which: str | None,
    score_thr: float,
    device: str | torch.device,
    truth_file: str | Path | None = None,
) -> str:
    """Write one picture for each image: the truth, if known, and each model.

    A table beside them, ``table.md``, counts what was drawn: boxes, and against the
    truth those that meet an object of their class at an IoU of 0.5 or more, those that
    do not, the objects missed, and the mean IoU of the right ones.

    Args:
        models: the columns, at least one.
        sources: image files, and folders to search with all that is inside.
        out: folder to write to; made if absent.
        which: "teacher" or "student"; None for the one that the config evaluates.
        score_thr: least class probability, in [0, 1].
        device: where to run.
        truth_file: COCO json with boxes of the images; None for no truth.

    Returns:
        The table, and one line about what was drawn.

    Raises:
        FileNotFoundError: no such checkpoint, source or json.
        ValueError: a checkpoint does not fit, models of different classes,
            ``score_thr`` out of range, or no image could be read.
    """
    if not 0 <= score_thr <= 1:
        raise UserError(f"--score-thr {score_thr} must lie in [0, 1]")
    pairs = image_files(sources)
    detectors = [
        load_detector(model.cfg, model.checkpoint, which, device) for model in models
    ]
    all_classes = {tuple(detector.dataset_meta["classes"]) for detector in detectors}
    if len(all_classes) > 1:
        raise UserError(f"the models have different classes: {sorted(all_classes)}")
    classes = all_classes.pop()
    truth = HiddenTruth(truth_file, classes, "--truth") if truth_file else None
    paths = [path for path, _ in pairs]
    streams = [
        predict_images(detector, model.cfg, paths)
        for detector, model in zip(detectors, models, strict=True)
    ]
    rows = zip(pairs, *streams, strict=True)
    drawn = 0
    tallies = [Tally(model.name, len(classes)) for model in models]
    for (path, name), *samples in track_iter_progress((rows, len(pairs))):
        if any(sample is None for sample in samples):
            continue
        known = truth and truth.find(path)
        for tally, sample in zip(tallies, samples, strict=True):
            tally.add(sure_detections(sample, score_thr), known)
        columns = [] if truth is None else [_truth_column(path, known, classes)]
        columns += [
            titled(detections_picture(path, sample, classes, score_thr), model.name)
            for sample, model in zip(samples, models, strict=True)
        ]
        target = Path(out) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(target), side_by_side(columns))
        drawn += 1
    if not drawn:
        raise UserError(f"none of the {len(pairs)} images could be read")
    cells = [_HEADER, *(tally.cells() for tally in tallies)]
    Path(out, "table.md").write_text(markdown_table(cells) + "\n")
    table = terminal_table(cells, f"class probability of {score_thr} or more")
    return f"{table}\n{drawn} pictures in {out}; {len(pairs) - drawn} images left out"


class Tally:
    """What a model drew on the images, counted.

    Args:
        name: the model's.
        num_classes: labels lie in [0, num_classes).
    """

    def __init__(self, name: str, num_classes: int) -> None:
        self.name, self.num_boxes = name, 0
        self.counts = PseudoLabelCounts.zeros(num_classes)

    def add(self, detections: InstanceData, truth: InstanceData | None) -> None:
        """Count an image's detections; only their number where no truth is known."""
        self.num_boxes += len(detections)
        if truth is not None:
            num_classes = len(self.counts.table)
            self.counts += count_matches([detections], [truth], num_classes)

    def cells(self) -> list[str]:
        """A row of the table; a dash for what no truth says."""
        total = self.counts.overall
        right, wrong, missed, _ = total.table[0].tolist()
        shares = [
            share.item() for share in (total.precisions, total.recalls, total.mean_ious)
        ]
        known = right + wrong + missed > 0
        numbers = [f"{count:.0f}" if known else "-" for count in (right, wrong, missed)]
        shares = ["-" if math.isnan(share) else f"{share:.2f}" for share in shares]
        return [self.name, str(self.num_boxes), *numbers, *shares]


def _truth_column(
    path: Path, known: InstanceData | None, classes: Sequence[str]
) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if known is None:
        return titled(picture, "no truth")
    draw_boxes(
        picture,
        known.bboxes.numpy(),
        [classes[label] for label in known.labels.tolist()],
        TRUTH_COLOUR[::-1],
    )
    return titled(picture, "truth")
