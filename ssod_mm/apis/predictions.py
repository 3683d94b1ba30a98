"""Detections on image files, drawn and as json."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.utils import track_iter_progress

from ssod_mm.apis.inference import (
    evaluated_model,
    load_detector,
    predict_images,
)
from ssod_mm.apis.using import Prediction
from ssod_mm.data.image_folder import EXTENSIONS
from ssod_mm.durable import write_durably
from ssod_mm.errors import UserError
from ssod_mm.evaluation.drawing import draw_detections
from ssod_mm.structures import class_probabilities


def predict_files(
    cfg: Config,
    checkpoint: str | Path,
    which: str | None,
    sources: Sequence[str | Path],
    out: str | Path,
    score_thr: float,
    device: str | torch.device,
) -> Prediction:
    """Detect objects on images; write ``drawn/`` and ``predictions.json``.

    Files that cannot be read are left out with a warning.

    Args:
        cfg: the config of the training, resolved.
        checkpoint: its checkpoint.
        which: "teacher" or "student"; None for the one that the config evaluates.
        sources: image files, and folders to search with all that is inside.
        out: folder to write to; made if absent.
        score_thr: least class probability, in [0, 1].
        device: where to run.

    Returns:
        What was found.

    Raises:
        FileNotFoundError: no such checkpoint or source.
        ValueError: checkpoint and config do not fit, ``score_thr`` out of range, an
            output would overwrite an image, or no image could be read.
    """
    if not 0 <= score_thr <= 1:
        raise UserError(f"--score-thr {score_thr} must lie in [0, 1]")
    which = which or evaluated_model(cfg)
    pairs = image_files(sources)
    out = Path(out)
    check_outputs(pairs, out)
    model = load_detector(cfg, checkpoint, which, device)
    classes = model.dataset_meta["classes"]
    predictions, left_out = [], []
    samples = predict_images(model, cfg, [path for path, _ in pairs])
    for (path, name), sample in track_iter_progress(
        (zip(pairs, samples, strict=True), len(pairs))
    ):
        if sample is None:
            left_out.append(path)
        else:
            predictions.append((name, sample))
            draw_detections(path, sample, classes, score_thr, out / "drawn" / name)
    if not predictions:
        raise UserError(
            f"none of the {len(pairs)} images could be read; the warnings above say why"
        )
    content = coco_content(predictions, classes, score_thr)
    path = out / "predictions.json"
    write_durably(path, json.dumps(content))
    return Prediction(content, path, which, score_thr, tuple(left_out))


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
    """Images named one by one or by folders that hold them.

    Args:
        sources: files, and folders to search with all that is inside.

    Returns:
        Pairs of the path and a name for outputs: the path below its folder, or the
        file's name.

    Raises:
        FileNotFoundError: a source is missing.
        ValueError: no image, or two images of the same name.
    """
    pairs: list[tuple[Path, Path]] = []
    for source in map(Path, sources):
        if source.is_dir():
            images = sorted(
                path
                for path in source.rglob("*")
                if path.suffix.lower() in EXTENSIONS and path.is_file()
            )
            if not images:
                raise UserError(f"{source} holds no image ({', '.join(EXTENSIONS)})")
            pairs += [(path, path.relative_to(source)) for path in images]
        elif source.is_file():
            pairs.append((source, Path(source.name)))
        else:
            raise FileNotFoundError(f"there is no image or folder {source}")
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
        instances = prediction.pred_instances
        sure = class_probabilities(instances) >= score_thr
        instances = instances[sure].cpu()
        for box, score, label in zip(
            instances.bboxes.tolist(),
            instances.scores.tolist(),
            instances.labels.tolist(),
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
                    "score": score,
                }
            )
    categories = [
        {"id": number, "name": name} for number, name in enumerate(classes, start=1)
    ]
    return {"images": images, "annotations": annotations, "categories": categories}
