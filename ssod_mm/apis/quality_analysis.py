"""The boxes of a checkpoint beside their IoU, on a test set or on withheld truth."""

from __future__ import annotations

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ssod_mm.apis.inference import load_detector
from ssod_mm.apis.iou_analysis import part_loader_cfg, predictions
from ssod_mm.evaluation.box_quality import BoxQuality, box_quality
from ssod_mm.evaluation.hidden_truth import HiddenTruth


def analyse_quality(
    cfg: Config,
    checkpoint: str | Path,
    which: str,
    part: str,
    device: str | torch.device,
) -> BoxQuality:
    """Detect on every image of a part of the data and compare with its truth.

    Args:
        cfg: the config of the training, resolved.
        checkpoint: its checkpoint.
        which: "teacher" or "student".
        part: "test", or "unlabelled" for the training images with withheld truth.
        device: where to run.

    Returns:
        All detections above the detector's own test threshold.

    Raises:
        FileNotFoundError: no such checkpoint or annotations.
        ValueError: the boxes have no localisation quality, or the config names no
            withheld truth.
    """
    model = load_detector(cfg, checkpoint, which, device)
    loader = Runner.build_dataloader(part_loader_cfg(cfg, part))
    truth = HiddenTruth(
        loader.dataset.ann_file, model.dataset_meta["classes"], "the annotations"
    )
    return BoxQuality.joined(
        [
            box_quality(sample.pred_instances, truth.find(sample.img_path))
            for samples in predictions(model, loader)
            for sample in samples
        ]
    )
