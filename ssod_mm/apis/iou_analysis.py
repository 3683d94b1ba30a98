"""How well a checkpoint's boxes are placed, on a test set or on withheld truth."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from mmengine.utils import track_iter_progress
from torch import nn
from torch.utils.data import DataLoader

from ssod_mm.apis.inference import load_detector
from ssod_mm.engine.class_hook import number_labels_of
from ssod_mm.errors import UserError
from ssod_mm.evaluation.hidden_truth import HiddenTruth
from ssod_mm.evaluation.iou_curves import (
    THRESHOLDS,
    class_average_precisions,
    match_counts,
)
from ssod_mm.evaluation.pseudo_label_metric import PseudoLabelCounts
from ssod_mm.structures import class_probabilities

PARTS = ("test", "unlabelled")


@dataclass(frozen=True)
class IouAnalysis:
    """One checkpoint at each IoU threshold.

    Attributes:
        truth_file: the COCO json that was compared with.
        classes: names of the C classes.
        ap_per_class: (T, C) average precision of all detections; NaN without truth.
        precisions: share of the boxes above the score threshold that are right.
        recalls: share of the true boxes that these find.
        num_boxes: how many boxes are above the score threshold.
        num_images: how many images were looked at.
    """

    truth_file: Path
    classes: tuple[str, ...]
    ap_per_class: np.ndarray
    precisions: list[float]
    recalls: list[float]
    num_boxes: int
    num_images: int


def analyse_iou(
    cfg: Config,
    checkpoint: str | Path,
    which: str | None,
    part: str,
    score_thr: float,
    device: str | torch.device,
) -> IouAnalysis:
    """Detect on every image of a part of the data and compare with its truth.

    Args:
        cfg: the config of the training, resolved.
        checkpoint: its checkpoint.
        which: "teacher" or "student"; None for the one that the config evaluates, or
            on unlabelled images the teacher.
        part: "test", or "unlabelled" for the training images with withheld truth.
        score_thr: least class probability of the boxes whose precision is measured.
        device: where to run.

    Returns:
        The numbers.

    Raises:
        FileNotFoundError: no such checkpoint or annotations.
        ValueError: the data have other classes than the checkpoint, ``score_thr`` is
            out of range, or the config names no withheld truth.
    """
    if not 0 <= score_thr <= 1:
        raise UserError(f"--score-thr {score_thr} must lie in [0, 1]")
    if which is None and part == "unlabelled":
        which = "teacher"
    model = load_detector(cfg, checkpoint, which, device)
    loader = Runner.build_dataloader(part_loader_cfg(cfg, part))
    dataset = loader.dataset
    classes = tuple(model.dataset_meta["classes"])
    number_labels_of(dataset, classes, str(checkpoint))
    truth = HiddenTruth(dataset.ann_file, classes, "the annotations")
    totals = [PseudoLabelCounts.zeros(len(classes)) for _ in THRESHOLDS]
    detections: list[dict] = []
    for samples in predictions(model, loader):
        detections += _coco_results(samples, dataset.cat_ids)
        counts = match_counts(
            [_sure_boxes(sample, score_thr) for sample in samples],
            [truth.find(sample.img_path) for sample in samples],
            len(classes),
        )
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
    overall = [total.overall for total in totals]
    return IouAnalysis(
        truth_file=Path(dataset.ann_file),
        classes=classes,
        ap_per_class=class_average_precisions(
            dataset.ann_file, detections, dataset.cat_ids
        ),
        precisions=[float(counts.precisions) for counts in overall],
        recalls=[float(counts.recalls) for counts in overall],
        num_boxes=int(overall[0].table[0, :2].sum()),
        num_images=len(dataset),
    )


def part_loader_cfg(cfg: Config, part: str) -> ConfigDict:
    """The test loader, over the unlabelled images where these are asked for.

    Args:
        cfg: the config of the training, resolved.
        part: "test", or "unlabelled" for the training images with withheld truth.

    Returns:
        Config of a data loader whose ``dataset.ann_file`` is the truth.

    Raises:
        FileNotFoundError: no such annotations.
        ValueError: the config names no test data or no withheld truth.
    """
    if cfg.get("test_dataloader") is None:
        raise UserError("the config has no test_dataloader")
    loader = copy.deepcopy(cfg.test_dataloader)
    if part == "unlabelled":
        if cfg.get("hidden_ann_file") is None:
            raise UserError(
                "--on unlabelled needs hidden_ann_file, the json with the withheld "
                "boxes, as configs/_base_/coco.py sets it"
            )
        hidden = Path(cfg.hidden_ann_file)
        if not hidden.is_file():
            raise FileNotFoundError(
                f"hidden_ann_file: {hidden} does not exist; tools/make_splits.py "
                "writes it beside the split"
            )
        loader.dataset.ann_file = str(hidden.resolve())
        loader.dataset.data_prefix = copy.deepcopy(
            cfg.train_dataloader.dataset.datasets[-1].data_prefix
        )
    return loader


@torch.no_grad()
def predictions(model: nn.Module, loader: DataLoader) -> Iterator[list[DetDataSample]]:
    """Detections batch by batch, on the CPU, boxes in pixels of the image files."""
    for batch in track_iter_progress((loader, len(loader))):
        yield [sample.cpu() for sample in model.test_step(batch)]


def _sure_boxes(sample: DetDataSample, score_thr: float) -> InstanceData:
    """Boxes by their class probability, which is not what a head may rank them by."""
    instances = sample.pred_instances
    return instances[class_probabilities(instances) >= score_thr]


def _coco_results(samples: list[DetDataSample], cat_ids: list[int]) -> list[dict]:
    results = []
    for sample in samples:
        instances = sample.pred_instances
        corners = instances.bboxes.double()
        boxes = torch.cat([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)
        results += [
            dict(
                image_id=sample.img_id,
                category_id=cat_ids[label],
                bbox=box,
                score=score,
            )
            for label, box, score in zip(
                instances.labels.tolist(),
                boxes.tolist(),
                instances.scores.tolist(),
                strict=True,
            )
        ]
    return results
