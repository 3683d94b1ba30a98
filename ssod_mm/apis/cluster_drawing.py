"""Pictures of NMS clusters on both views, with the ranks within them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.checkpoints import load_weights
from ssod_mm.engine.runtime import import_custom_modules
from ssod_mm.errors import UserError
from ssod_mm.evaluation.drawing import (
    class_colours,
    draw_boxes,
    enlarged,
    legible_scale,
    side_by_side,
    stacked,
    titled,
    to_picture,
)

SUPPRESSED_COLOUR = (220, 40, 40)
AMBIGUOUS_COLOUR = (0, 170, 90)


def draw_clusters(
    cfg: Config,
    checkpoint: str | Path,
    out: str | Path,
    device: str | torch.device,
    num_images: int = 8,
    max_clusters: int = 4,
    max_ranks: int = 6,
) -> list[Path]:
    """Draw clusters of unlabelled training images.

    Args:
        cfg: the resolved config of a ``DenseGuidanceTeacher``.
        checkpoint: its weights.
        out: folder to write to; made if absent.
        device: where to run.
        num_images: how many images, one picture each.
        max_clusters: largest clusters drawn of an image.
        max_ranks: best candidates drawn of a cluster.

    Returns:
        The pictures' files.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: the config has no dense guidance, or a number is below 1.
    """
    numbers = dict(images=num_images, clusters=max_clusters, ranks=max_ranks)
    for key, value in numbers.items():
        if value < 1:
            raise UserError(f"--{key} {value} must be at least 1")
    if "dense" not in cfg.model:
        raise UserError(
            f"clusters are those of a DenseGuidanceTeacher, but the config's model is "
            f"a {cfg.model.type}; take one of configs/dtg"
        )
    import_custom_modules(cfg)
    init_default_scope(cfg.get("default_scope", "mmdet"))
    model = MODELS.build(cfg.model)
    load_weights(model, checkpoint, "teacher")
    model = model.to(device).eval()
    loader = Runner.build_dataloader(
        {**cfg.train_dataloader, "num_workers": 0, "persistent_workers": False},
        seed=cfg.get("seed", 0),
    )
    folder, files = Path(out), []
    folder.mkdir(parents=True, exist_ok=True)
    for batch in loader:
        data = model.data_preprocessor(batch, True)
        for picture in batch_pictures(
            model, data["inputs"], data["data_samples"], max_clusters, max_ranks
        ):
            path = folder / f"clusters_{len(files):03d}.png"
            cv2.imwrite(str(path), cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
            files.append(path)
            if len(files) == num_images:
                return files
    return files


def batch_pictures(
    model: Any,
    inputs: dict[str, Tensor],
    samples: dict,
    max_clusters: int,
    max_ranks: int,
) -> list[np.ndarray]:
    """One picture per unlabelled image: clusters above, disagreements below.

    Args:
        model: a ``DenseGuidanceTeacher``.
        inputs: preprocessed images of the branches.
        samples: their data samples.
        max_clusters: largest clusters drawn.
        max_ranks: best candidates drawn of a cluster.

    Returns:
        (H, W, 3) uint8 RGB each.
    """
    teacher, student, apart = model.inspect(inputs, samples)
    pictures = []
    for number, (taught, learnt, other) in enumerate(
        zip(teacher, student, apart, strict=True)
    ):
        views = []
        for branch in ("unsup_teacher", "unsup_student"):
            shape = samples[branch][number].img_shape[:2]
            view = to_picture(inputs[branch][number], model.data_preprocessor, shape)
            views.append(enlarged(view, legible_scale(view)))
        weak, strong = views
        largest = _largest(taught, max_clusters)
        scale = strong.shape[0] / samples["unsup_student"][number].img_shape[0]
        scale_weak = weak.shape[0] / samples["unsup_teacher"][number].img_shape[0]
        below = _draw_apart(strong.copy(), other, scale)
        row = [
            titled(
                _draw_ranks(weak, taught, largest, max_ranks, scale_weak),
                "teacher: weak view, rank in cluster",
            ),
            titled(
                _draw_ranks(strong, learnt, largest, max_ranks, scale),
                "student: strong view, rank in cluster",
            ),
        ]
        note = "red: suppressed, green: ambiguous proposals (IoU with a kept box)"
        pictures.append(stacked([side_by_side(row), titled(below, note)]))
    return pictures


def _largest(candidates: InstanceData, count: int) -> list[int]:
    """Numbers of the clusters with most candidates."""
    clusters, sizes = torch.unique(candidates.cluster, return_counts=True)
    return clusters[sizes.argsort(descending=True, stable=True)][:count].tolist()


def _draw_ranks(
    picture: np.ndarray,
    candidates: InstanceData,
    clusters: list[int],
    max_ranks: int,
    scale: float,
) -> np.ndarray:
    """Candidates in their clusters' colours, the best last and thick."""
    colours = class_colours(max(len(clusters), 1))
    for colour, cluster in zip(colours, clusters, strict=False):
        members = candidates[candidates.cluster == cluster]
        members = members[members.rank.argsort(descending=True)][-max_ranks:]
        boxes = members.bboxes.cpu().numpy() * scale
        for place, box in enumerate(boxes):
            rank = int(members.rank[place])
            caption = f"{rank + 1}: {members.scores[place]:.2f}" if rank < 3 else ""
            draw_boxes(picture, box[None], [caption], colour, 3 if rank == 0 else 1)
    return picture


def _draw_apart(
    picture: np.ndarray, candidates: InstanceData, scale: float, most: int = 12
) -> np.ndarray:
    """The clearest disagreements: suppressed by falling, ambiguous by rising IoU."""
    for suppressed, colour in ((True, SUPPRESSED_COLOUR), (False, AMBIGUOUS_COLOUR)):
        mine = candidates[candidates.suppressed == suppressed]
        mine = mine[mine.overlaps.argsort(descending=suppressed)][: most // 2]
        draw_boxes(
            picture,
            mine.bboxes.cpu().numpy() * scale,
            [f"{overlap:.2f}" for overlap in mine.overlaps.tolist()],
            colour,
            1,
        )
    return picture
