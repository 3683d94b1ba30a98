"""One of the two detectors of a checkpoint, asked about images."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmcv.transforms import Compose
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log
from mmengine.registry import init_default_scope
from torch import nn

from ssod_mm.checkpoint_files import read_checkpoint
from ssod_mm.checkpoints import load_weights, stored_classes
from ssod_mm.engine.runtime import import_custom_modules
from ssod_mm.errors import UserError


def plain_detector_cfg(cfg: Config) -> ConfigDict:
    """The model config of the detector that teacher and student are.

    Args:
        cfg: a config with a semi-supervised or a plain ``model``.

    Returns:
        A copy with the data preprocessor in it and without paths of pretrained
        weights, which a checkpoint replaces.
    """
    outer = cfg.model
    inner = copy.deepcopy(outer.detector if "detector" in outer else outer)
    preprocessor = outer.get("data_preprocessor") or inner.get("data_preprocessor")
    if preprocessor and "data_preprocessor" in preprocessor:
        preprocessor = preprocessor.data_preprocessor
    inner.data_preprocessor = copy.deepcopy(preprocessor)
    _drop_pretrained(inner)
    return inner


def _drop_pretrained(node: Any) -> None:
    """Remove ``init_cfg`` of type "Pretrained" anywhere below, in place."""
    if isinstance(node, Mapping):
        init = node.get("init_cfg")
        if isinstance(init, Mapping) and init.get("type") == "Pretrained":
            del node["init_cfg"]
    if isinstance(node, (Mapping, list, tuple)):
        for value in node.values() if isinstance(node, Mapping) else node:
            _drop_pretrained(value)


def checkpoint_classes(cfg: Config, checkpoint: str | Path) -> tuple[str, ...]:
    """Class names of a checkpoint, or else of the config's test set.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: neither names the classes.
    """
    classes = stored_classes(read_checkpoint(checkpoint))
    dataset = (cfg.get("test_dataloader") or {}).get("dataset") or {}
    classes = classes or (dataset.get("metainfo") or {}).get("classes")
    if classes:
        return tuple(classes)
    raise UserError(
        f"{checkpoint} does not say its classes: set "
        "test_dataloader.dataset.metainfo.classes in the config"
    )


def evaluated_model(cfg: Config) -> str:
    """The model that a config evaluates: "student" or, by default, "teacher"."""
    settings = cfg.model.get("semi_test_cfg") or {}
    return settings.get("predict_on", "teacher")


def load_detector(
    cfg: Config, checkpoint: str | Path, which: str | None, device: str | torch.device
) -> nn.Module:
    """Build the plain detector and give it the teacher's or the student's weights.

    Args:
        cfg: the config of the training.
        checkpoint: its checkpoint, or one of a plain detector.
        which: "teacher" or "student"; None for the one that the config evaluates.
        device: where to put it.

    Returns:
        The detector in eval mode, with ``dataset_meta["classes"]``.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: checkpoint and config do not fit, or classes are not known.
    """
    import_custom_modules(cfg)
    init_default_scope(cfg.get("default_scope", "mmdet"))
    classes = checkpoint_classes(cfg, checkpoint)
    model = MODELS.build(plain_detector_cfg(cfg))
    load_weights(model, checkpoint, which or evaluated_model(cfg))
    model.dataset_meta = {"classes": classes}
    return model.to(device).eval()


def is_of_device(error: Exception) -> bool:
    """Whether an error says that the device failed or that memory is full."""
    signs = ("CUDA", "cuDNN", "can't allocate memory")
    kinds = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, kinds) or any(sign in str(error) for sign in signs)


@torch.no_grad()
def predict_images(
    model: nn.Module, cfg: Config, images: Iterable[Path | np.ndarray]
) -> Iterator[DetDataSample | None]:
    """Detections on images, one after the other.

    Args:
        model: a plain detector in eval mode.
        cfg: its config; images go through the pipeline of ``test_dataloader``.
        images: image files, or (H, W, 3) uint8 BGR pictures.

    Yields:
        The prediction with boxes in pixels of the image, or None, after a warning that
        names it, for an image that cannot be read, or whose shape the pipeline or the
        detector cannot take.

    Raises:
        RuntimeError: the device fails or its memory is full, which is no image's fault.
    """
    load, *others = get_test_pipeline_cfg(cfg)
    of_file = Compose([load, *others])
    of_picture = Compose([{"type": "mmdet.LoadImageFromNDArray"}, *others])
    for number, image in enumerate(images, start=1):
        is_file = isinstance(image, Path)
        path = image if is_file else f"number {number}"
        try:
            if is_file:
                item = of_file({"img_path": str(image), "img_id": number})
            else:
                item = of_picture({"img": image, "img_id": number})
            batch = item and {key: [item[key]] for key in ("inputs", "data_samples")}
            prediction = batch and model.test_step(batch)[0]
        except Exception as error:  # OpenCV, mmcv and torch each have their own
            if is_of_device(error):
                raise
            reason = " ".join(str(error).split())
            where = "" if str(path) in reason else f"image {path}: "
            text = f"left out: {where}{reason[:300]}"
            print_log(text, logger="current", level=logging.WARNING)
            prediction = None
        yield prediction
