"""Use a trained detector: on images, or in stock mmdet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.config import Config

from ssod_mm.cli.resolve import resolve_config
from ssod_mm.sweep.targets import load_target


@dataclass(frozen=True)
class Prediction:
    """What a detector found on images.

    Attributes:
        coco: ``images``, ``annotations`` with ``score`` and ``categories``: what the
            file holds.
        path: the json file.
        which: the model that was asked, "teacher" or "student".
        score_thr: least class probability of what counts.
        left_out: images that could not be read.
    """

    coco: dict[str, list[dict[str, Any]]]
    path: Path
    which: str
    score_thr: float
    left_out: tuple[Path, ...]

    def __str__(self) -> str:
        return (
            f"{self.which}: {len(self.coco['annotations'])} detections with a class "
            f"probability of at least {self.score_thr:g} on {len(self.coco['images'])} "
            f"images in {self.path.parent}; {len(self.left_out)} images left out"
        )


class ExportedDetector(NamedTuple):
    """The files of a detector for stock mmdet.

    Attributes:
        config: for ``mmdet.apis.init_detector``.
        weights: the checkpoint; a ``.safetensors`` file of the same lies beside it.
    """

    config: Path
    weights: Path


def predict(
    config: str | Path,
    checkpoint: str | Path,
    sources: str | Path | Sequence[str | Path],
    *,
    out: str | Path,
    which: str | None = None,
    score_thr: float = 0.3,
    device: str | None = None,
    fold: int | None = None,
    percent: float | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    trust_checkpoint: bool = False,
) -> Prediction:
    """Detect objects on images; write drawings and a json in COCO format.

    Args:
        config: a path, a path below ``configs/``, or ``SWEEP:ROW``; best the one that
            the run has left in its output folder.
        checkpoint: file of weights.
        sources: images, videos, patterns such as ``shots/*.png``, and folders to search
            with all that is inside.
        out: folder for ``drawn/`` and ``predictions.json``.
        which: "teacher" or "student"; None for the one that the config evaluates.
        score_thr: least class probability, in [0, 1].
        device: where to run; None for CUDA if there is any.
        fold: number of the label split, where a config needs it to be read.
        percent: labelled images in percent, as well.
        cfg_options: dotted keys and their new values.
        trust_checkpoint: read checkpoints that hold more than weights.

    Returns:
        All that was found.

    Raises:
        FileNotFoundError: a config, checkpoint or source is missing.
        UserError: checkpoint and config do not fit, a value is out of its range, an
            output would overwrite an image, or no image could be read.
    """
    cfg = _read(config, fold, percent, cfg_options)
    # Only now, so that a mistake in the command is reported at once.
    from mmengine.device import get_device

    from ssod_mm.apis.predictions import predict_files
    from ssod_mm.checkpoint_files import trust_checkpoints

    trust_checkpoints(trust_checkpoint)
    named = [sources] if isinstance(sources, (str, Path)) else list(sources)
    return predict_files(
        cfg, checkpoint, which, named, out, score_thr, device or get_device()
    )


def export(
    config: str | Path,
    checkpoint: str | Path,
    *,
    out: str | Path,
    which: str | None = None,
    keep_custom: bool = False,
    fold: int | None = None,
    percent: float | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    trust_checkpoint: bool = False,
) -> ExportedDetector:
    """Write teacher or student as a config and weights for stock mmdet.

    Args:
        config: a path, a path below ``configs/``, or ``SWEEP:ROW``.
        checkpoint: file of weights.
        out: output folder.
        which: "teacher" or "student"; None for the one that the config evaluates.
        keep_custom: for a detector with modules of this package: import them by
            ``custom_imports`` instead of refusing.
        fold: number of the label split, where a config needs it to be read.
        percent: labelled images in percent, as well.
        cfg_options: dotted keys and their new values.
        trust_checkpoint: read checkpoints that hold more than weights.

    Returns:
        Paths of config and weights.

    Raises:
        FileNotFoundError: a config or checkpoint is missing.
        UserError: checkpoint and config do not fit, or stock mmdet could not use the
            result.
    """
    cfg = _read(config, fold, percent, cfg_options)
    # Only now, so that a mistake in the command is reported at once.
    from ssod_mm.apis.stock_export import export_detector
    from ssod_mm.checkpoint_files import trust_checkpoints

    trust_checkpoints(trust_checkpoint)
    return ExportedDetector(*export_detector(cfg, checkpoint, which, out, keep_custom))


def _read(
    config: str | Path,
    fold: int | None,
    percent: float | None,
    cfg_options: Mapping[str, Any] | None,
) -> Config:
    """A complete config; its data files need not be there."""
    return resolve_config(
        load_target(config, percent),
        fold=fold,
        percent=percent,
        cfg_options=cfg_options,
        check_files=(),
    )
