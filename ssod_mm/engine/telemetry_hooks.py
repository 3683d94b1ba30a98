"""What the log says about pseudo labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import HOOKS
from mmdet.structures import SampleList
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import nn

from ssod_mm.data.loading import num_skipped_images, num_unturned_images
from ssod_mm.errors import UserError
from ssod_mm.evaluation.hidden_truth import HiddenTruth, to_image_frame
from ssod_mm.evaluation.pseudo_label_metric import PseudoLabelCounts, count_matches
from ssod_mm.structures import TeachingStep

DIAGNOSTICS = ("pseudo_per_image", "pseudo_score", "pseudo_kept_ratio", "unsup_weight")
"""Scalars that a detector puts into its loss dict; all are logged by mmengine."""


def unwrapped(model: nn.Module) -> nn.Module:
    """The detector inside a wrapper for distributed training."""
    return model.module if is_model_wrapper(model) else model


def last_teaching_step(runner: Runner) -> TeachingStep | None:
    """What the detector taught in this iteration; None where it taught nothing."""
    return getattr(unwrapped(runner.model), "last_step", None)


def training_classes(runner: Runner) -> tuple[str, ...]:
    """Class names behind the labels of the running training.

    Raises:
        ValueError: the training set does not say them.
    """
    classes = getattr(runner.train_dataloader.dataset, "metainfo", {}).get("classes")
    if not classes:
        raise UserError(
            "train_dataloader.dataset names no classes: set its metainfo.classes."
        )
    return tuple(classes)


@HOOKS.register_module()
class PseudoLabelLogHook(Hook):
    """Makes the log's pseudo-label figures averages instead of the last batch's.

    mmengine logs every scalar of the loss dict, but smooths only those with "loss" or
    "time" in their names. A key that ``log_processor.custom_cfg`` already treats is
    left as it is. Where ``LoadImage(on_error="skip")`` has skipped broken images,
    their number so far in this process is logged as ``skipped_images``.

    Args:
        keys: scalars to average over ``log_processor.window_size`` iterations.
    """

    priority = "NORMAL"

    def __init__(self, keys: Sequence[str] = DIAGNOSTICS[:3]) -> None:
        self.keys = tuple(keys)
        self._checked = False

    def before_train(self, runner: Runner) -> None:
        """Ask the log processor for averages."""
        processor = runner.log_processor
        treated = {cfg.get("log_name", cfg["data_src"]) for cfg in processor.custom_cfg}
        processor.custom_cfg += [
            {
                "data_src": key,
                "method_name": "mean",
                "window_size": processor.window_size,
            }
            for key in self.keys
            if key not in treated
        ]

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Log skipped images; say once which figures the detector does not give."""
        num_skipped = num_skipped_images()
        if num_skipped:
            runner.message_hub.update_scalar("train/skipped_images", num_skipped)
        num_unturned = num_unturned_images()
        if num_unturned:
            runner.message_hub.update_scalar("train/unturned_images", num_unturned)
        if self._checked:
            return
        self._checked = True
        missing = [key for key in self.keys if key not in (outputs or {})]
        if missing:
            runner.logger.warning(
                f"The detector reports no {', '.join(missing)}: the log goes without."
            )


@HOOKS.register_module()
class PseudoLabelQualityHook(Hook):
    """Logs precision, recall and IoU of the pseudo labels against withheld truth.

    ``train/pseudo_precision``, ``train/pseudo_recall`` and ``train/pseudo_iou`` cover
    all unlabelled images since the last report, over all processes; NaN where there is
    nothing to divide by. Between reports the hook only keeps references to the steps'
    pseudo labels.

    Args:
        ann_file: the withheld annotations, ``<stem>.<fold>@<percent>-hidden.json``.
        interval: iterations between two reports.
        iou_thr: least IoU of a right pseudo label, in (0, 1].
        per_class: also write the figures of every class to the visualizer
            (TensorBoard), not to the log lines.

    Raises:
        FileNotFoundError: no such file, at the start of training.
        ValueError: bad arguments, or a file without usable annotations.
    """

    # before LoggerHook, so that the figures are in the line of the same iteration
    priority = "NORMAL"

    def __init__(
        self,
        ann_file: str | Path,
        interval: int = 50,
        iou_thr: float = 0.5,
        per_class: bool = False,
    ) -> None:
        if interval < 1:
            raise UserError(
                f"PseudoLabelQualityHook.interval={interval} must be at least 1."
            )
        if not 0 < iou_thr <= 1:
            raise UserError(
                f"PseudoLabelQualityHook.iou_thr={iou_thr} must lie in (0, 1]."
            )
        self.ann_file = ann_file
        self.interval = interval
        self.iou_thr = iou_thr
        self.per_class = per_class
        self._pending: list[tuple[SampleList, list[InstanceData]]] = []
        self._told = False

    def before_train(self, runner: Runner) -> None:
        """Read the withheld annotations."""
        if not hasattr(unwrapped(runner.model), "last_step"):
            runner.logger.warning(
                f"{type(unwrapped(runner.model)).__name__} keeps no last_step: "
                "pseudo-label quality will not be logged."
            )
        self.classes = training_classes(runner)
        self.truth = HiddenTruth(
            self.ann_file,
            self.classes,
            "hidden_ann_file, or ann_file of PseudoLabelQualityHook",
        )

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict | None = None,
    ) -> None:
        """Remember the step's pseudo labels; report at the interval."""
        step = last_teaching_step(runner)
        if step is not None:
            self._pending.append((step.samples_weak, step.labels_weak.instances))
        if self.every_n_train_iters(runner, self.interval):
            self._report(runner)

    def _report(self, runner: Runner) -> None:
        counts = PseudoLabelCounts.zeros(len(self.classes))
        num_images = num_found = 0
        for samples, labels in self._pending:
            pseudo, truth = self._known(samples, labels)
            counts = counts + count_matches(
                pseudo, truth, len(self.classes), self.iou_thr
            )
            num_images += len(samples)
            num_found += len(truth)
        self._pending.clear()
        totals = torch.cat(
            [counts.table.flatten(), torch.tensor([num_images, num_found]).double()]
        )
        all_reduce(totals)
        counts = PseudoLabelCounts(totals[:-2].reshape(-1, 4))
        num_images, num_found = totals[-2:].tolist()
        if not num_found:
            self._say_if_strangers(runner, num_images)
            return
        for key, value in _figures(counts.overall, [""]).items():
            runner.message_hub.update_scalar(f"train/{key}", value)
        if self.per_class:
            names = [f"/{name}" for name in self.classes]
            runner.visualizer.add_scalars(_figures(counts, names), runner.iter + 1)

    def _known(
        self, samples: SampleList, labels: list[InstanceData]
    ) -> tuple[list[InstanceData], list[InstanceData]]:
        """Pseudo labels in image pixels, and truth, of the images with truth."""
        pseudo, truth = [], []
        for sample, boxes in zip(samples, labels, strict=True):
            known = self.truth.find(sample.img_path)
            if known is None:
                continue
            truth.append(known)
            pseudo.append(
                InstanceData(
                    bboxes=to_image_frame(boxes.bboxes, sample),
                    scores=boxes.scores,
                    labels=boxes.labels,
                )
            )
        return pseudo, truth

    def _say_if_strangers(self, runner: Runner, num_images: float) -> None:
        if self._told or not num_images:
            return
        self._told = True
        runner.logger.warning(
            f"None of the {num_images:.0f} unlabelled images seen so far is in "
            f"{self.ann_file}: pseudo-label quality cannot be logged. Does "
            "PseudoLabelQualityHook.ann_file belong to this unlabelled set?"
        )


def _figures(counts: PseudoLabelCounts, endings: Sequence[str]) -> dict[str, float]:
    """Precision, recall and IoU per class, keyed by name + ending; NaN if undefined."""
    columns = {
        "pseudo_precision": counts.precisions,
        "pseudo_recall": counts.recalls,
        "pseudo_iou": counts.mean_ious,
    }
    return {
        f"{key}{ending}": value
        for key, column in columns.items()
        for ending, value in zip(endings, column.tolist(), strict=True)
    }
