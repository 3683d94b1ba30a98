"""Detections on image files, drawn and as json."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Sequence
from glob import glob
from pathlib import Path

import cv2
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.utils import track_iter_progress
from torch import nn

from ssod_mm.apis.inference import (
    evaluated_model,
    load_detector,
    predict_images,
)
from ssod_mm.apis.using import Prediction
from ssod_mm.data.image_folder import EXTENSIONS
from ssod_mm.durable import write_durably
from ssod_mm.errors import UserError
from ssod_mm.evaluation.drawing import (
    detections_picture,
    draw_detections,
    sure_detections,
)

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm")


def predict_files(
    cfg: Config,
    checkpoint: str | Path,
    which: str | None,
    sources: Sequence[str | Path],
    out: str | Path,
    score_thr: float,
    device: str | torch.device,
) -> Prediction:
    """Detect objects on images and videos; write ``drawn/`` and ``predictions.json``.

    What cannot be read is left out with a warning.

    Args:
        cfg: the config of the training, resolved.
        checkpoint: its checkpoint.
        which: "teacher" or "student"; None for the one that the config evaluates.
        sources: image and video files, patterns such as ``shots/*.png``, and folders to
            search with all that is inside.
        out: folder to write to; made if absent.
        score_thr: least class probability, in [0, 1].
        device: where to run.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: no such checkpoint or source.
        UserError: checkpoint and config do not fit, ``score_thr`` out of range, an
            output would overwrite an image, or no image could be read.
    """
    if not 0 <= score_thr <= 1:
        raise UserError(f"--score-thr {score_thr} must lie in [0, 1]")
    which = which or evaluated_model(cfg)
    pairs = image_files(sources)
    out = Path(out)
    check_outputs(pairs, out)
    model = load_detector(cfg, checkpoint, which, device)
    print_log(
        f"asking the {which} of {checkpoint}; a class probability of at least "
        f"{score_thr:g} counts",
        logger="current",
    )
    classes = model.dataset_meta["classes"]
    predictions: list[tuple[Path, DetDataSample]] = []
    left_out = []
    for path, name in track_iter_progress(pairs):
        target = out / "drawn" / name
        if path.suffix.lower() in VIDEOS:
            frames = predict_video(model, cfg, path, target, score_thr)
            predictions += [(name / f"{number:06d}", s) for number, s in frames]
            is_read = bool(frames)
        else:
            (sample,) = predict_images(model, cfg, [path])
            is_read = sample is not None
            if is_read:
                predictions.append((name, sample))
                draw_detections(path, sample, classes, score_thr, target)
        if not is_read:
            left_out.append(path)
    if not predictions:
        raise UserError(
            f"none of the {len(pairs)} images could be read; the warnings above say why"
        )
    content = coco_content(predictions, classes, score_thr)
    path = out / "predictions.json"
    write_durably(path, json.dumps(content))
    return Prediction(content, path, which, score_thr, tuple(left_out))


def predict_video(
    model: nn.Module, cfg: Config, path: Path, target: Path, score_thr: float
) -> list[tuple[int, DetDataSample]]:
    """Detect objects on every frame of a video and write it with them drawn.

    Args:
        model: see :func:`predict_images`.
        cfg: its config.
        path: the video.
        target: the video to write, as MPEG-4.
        score_thr: least class probability to draw, in [0, 1].

    Returns:
        Numbers of the frames, from 1, with their predictions; none, after a warning,
        where the video cannot be read.
    """
    video = cv2.VideoCapture(str(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    samples, writer = [], None
    for number, frame in enumerate(_frames(video), start=1):
        (sample,) = predict_images(model, cfg, [frame])
        if sample is None:
            continue
        samples.append((number, sample))
        classes = model.dataset_meta["classes"]
        picture = detections_picture(frame, sample, classes, score_thr)
        if writer is None:
            rate = video.get(cv2.CAP_PROP_FPS) or 25.0
            code = cv2.VideoWriter_fourcc(*"mp4v")
            size = picture.shape[1::-1]
            writer = cv2.VideoWriter(str(target.with_suffix(".mp4")), code, rate, size)
        writer.write(picture)
    video.release()
    if writer is None:
        text = f"left out: video {path} cannot be read"
        print_log(text, logger="current", level=logging.WARNING)
    else:
        writer.release()
    return samples


def _frames(video: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """The frames of a video, (H, W, 3) uint8 BGR."""
    while True:
        is_there, frame = video.read()
        if not is_there:
            return
        yield frame


def check_outputs(pairs: Sequence[tuple[Path, Path]], out: Path) -> None:
    """Refuse an output folder whose drawings would overwrite an image.

    Args:
        pairs: as of :func:`image_files`.
        out: the output folder.

    Raises:
        ValueError: names the image.
    """
    inputs = {path.resolve() for path, _ in pairs}
    for _, name in pairs:
        drawing = out / "drawn" / name
        if drawing.resolve() in inputs:
            raise UserError(
                f"--out {out} would overwrite the image {drawing}: choose another one"
            )


def image_files(sources: Sequence[str | Path]) -> list[tuple[Path, Path]]:
    """Images and videos named one by one, by patterns, or by folders that hold them.

    Args:
        sources: files, patterns with ``*``, ``?`` or ``[...]``, and folders to search
            with all that is inside.

    Returns:
        Pairs of the path and a name for outputs: the path below its folder, or the
        file's name.

    Raises:
        FileNotFoundError: a source is missing.
        UserError: no image, or two images of the same name.
    """
    pairs: list[tuple[Path, Path]] = []
    for source in map(Path, sources):
        if source.is_dir():
            inside = sorted(
                path
                for path in source.rglob("*")
                if path.suffix.lower() in (*EXTENSIONS, *VIDEOS) and path.is_file()
            )
            if not inside:
                endings = ", ".join((*EXTENSIONS, *VIDEOS))
                raise UserError(f"{source} holds no image ({endings})")
            pairs += [(path, path.relative_to(source)) for path in inside]
        elif source.is_file():
            pairs.append((source, Path(source.name)))
        else:
            matches = [Path(path) for path in sorted(glob(str(source)))]
            files = [path for path in matches if path.is_file()]
            if not files:
                raise FileNotFoundError(f"there is no image or folder {source}")
            pairs += [(path, Path(path.name)) for path in files]
    seen: dict[Path, Path] = {}
    for path, name in pairs:
        if name in seen:
            raise UserError(
                f"{path} and {seen[name]} would have the same output; run them apart"
            )
        seen[name] = path
    return pairs


def coco_content(
    predictions: Sequence[tuple[Path, DetDataSample]],
    classes: Sequence[str],
    score_thr: float,
) -> dict[str, list]:
    """Detections as a COCO-format json, which labelling tools and data sets read.

    Some of them, CVAT's importer among them, refuse annotations without a
    ``segmentation``: it is there, and empty.

    Args:
        predictions: pairs of file name and prediction.
        classes: names behind the labels.
        score_thr: least class probability, in [0, 1].

    Returns:
        ``images``, ``annotations`` (with ``score``) and ``categories``.
    """
    images, annotations = [], []
    for image_id, (name, prediction) in enumerate(predictions, start=1):
        height, width = (int(side) for side in prediction.ori_shape[:2])
        images.append(
            {
                "id": image_id,
                "file_name": name.as_posix(),
                "height": height,
                "width": width,
            }
        )
        detections = sure_detections(prediction, score_thr)
        for box, score, label in zip(
            detections.bboxes.tolist(),
            detections.scores.tolist(),
            detections.labels.tolist(),
            strict=True,
        ):
            size = box[2] - box[0], box[3] - box[1]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": label + 1,
                    "bbox": [box[0], box[1], *size],
                    "area": size[0] * size[1],
                    "iscrowd": 0,
                    "segmentation": [],
                    "score": score,
                }
            )
    categories = [
        {"id": number, "name": name} for number, name in enumerate(classes, start=1)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}
