"""NMS for a batch, and proposals as padded tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from typing import Any

import torch
from mmcv.ops import batched_nms, nms
from mmengine.structures import InstanceData
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ssod_mm.models.batched.padding import first_ones

# Boxes of one call of NMS at most: it needs memory for a bit for each pair, 200 MB.
_MOST_IN_ONE_CALL = 40_000


class PaddedProposals(Sequence):
    """Proposals of a batch; read as a list it gives each image's, as mmdet's RPN does.

    Reading it as a list makes the host wait for the numbers of proposals, once.

    Args:
        boxes: (B, L, 4) xyxy, by falling score.
        scores: (B, L).
        real: (B, L) which are proposals; the others stand behind them.
    """

    def __init__(self, boxes: Tensor, scores: Tensor, real: Tensor) -> None:
        self.boxes = boxes
        self.scores = scores
        self.real = real

    @cached_property
    def counts(self) -> list[int]:
        """Proposals of each image."""
        return self.real.sum(1).tolist()

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, image: int) -> InstanceData:
        count = self.counts[image]
        scores = self.scores[image, :count]
        instances = InstanceData(bboxes=self.boxes[image, :count], scores=scores)
        instances.labels = torch.zeros_like(scores, dtype=torch.int64)
        return instances


def in_one_call(boxes: Tensor) -> bool:
    """Whether NMS treats the batch in one call: a GPU gains by it, a CPU loses."""
    return boxes.is_cuda


def plain_nms(cfg: Any) -> bool:
    """Whether a config of NMS asks for greedy NMS by group and nothing more."""
    known = {"type", "iou_threshold", "split_thr"}
    return cfg is not None and cfg.get("type", "nms") == "nms" and set(cfg) <= known


def proposals(
    boxes_BN4: Tensor, scores_BN: Tensor, level_sizes: Sequence[int], cfg: Any
) -> PaddedProposals:
    """The best boxes of each image after NMS by level.

    Args:
        boxes_BN4: decoded boxes, level after level.
        scores_BN: their scores.
        level_sizes: how many of the N belong to each level.
        cfg: ``nms``, ``max_per_img`` and perhaps ``min_bbox_size``.
    """
    levels_N = _level_numbers(tuple(level_sizes), boxes_BN4.device)
    real_BN = None
    if cfg.get("min_bbox_size", -1) >= 0:
        sides = boxes_BN4[..., 2:] - boxes_BN4[..., :2]
        real_BN = (sides > cfg.min_bbox_size).all(-1)
        boxes_BN4 = boxes_BN4 * real_BN[..., None]
    limit = min(cfg.max_per_img, boxes_BN4.shape[1])
    if in_one_call(boxes_BN4):
        rows, real = joint_nms(
            boxes_BN4,
            scores_BN,
            levels_N,
            len(level_sizes),
            real_BN,
            cfg.nms["iou_threshold"],
            limit,
        )
    else:
        rows, real = nms_by_image(
            boxes_BN4, scores_BN, levels_N, real_BN, cfg.nms, limit
        )
    boxes = boxes_BN4.gather(1, rows[..., None].expand(-1, -1, 4))
    return PaddedProposals(boxes, scores_BN.gather(1, rows), real)


def nms_by_image(
    boxes_BN4: Tensor,
    scores_BN: Tensor,
    groups_N: Tensor,
    real_BN: Tensor | None,
    cfg: Any,
    limit: int,
) -> tuple[Tensor, Tensor]:
    """Rows (B, L) that NMS keeps of each image, and which of them are real.

    One call for each image: the fastest way on a CPU.

    Args:
        boxes_BN4: (B, N, 4).
        scores_BN: (B, N).
        groups_N: (N,) boxes of different groups leave each other alone.
        real_BN: (B, N) which boxes take part; None: all.
        cfg: config of NMS.
        limit: boxes of an image at most.
    """
    kept = []
    for image, (boxes, scores) in enumerate(zip(boxes_BN4, scores_BN, strict=True)):
        groups, rows = groups_N, None
        if real_BN is not None:
            rows = real_BN[image].nonzero(as_tuple=True)[0]
            boxes, scores, groups = boxes[rows], scores[rows], groups[rows]
        if not len(boxes):
            kept.append(groups[:0])
            continue
        keep = batched_nms(boxes, scores, groups, cfg)[1][:limit]
        kept.append(keep if rows is None else rows[keep])
    counts = [len(rows) for rows in kept]
    real = first_ones(counts, max(counts), boxes_BN4.device)
    return pad_sequence(kept, batch_first=True), real


def joint_nms(
    boxes_BN4: Tensor,
    scores_BN: Tensor,
    groups_N: Tensor,
    num_groups: int,
    real_BN: Tensor | None,
    iou_thr: float,
    limit: int,
) -> tuple[Tensor, Tensor]:
    """Rows (B, L) that NMS keeps of each image, and which of them are real.

    One call for the batch, see :func:`nms_in_cells`.

    Args:
        boxes_BN4: (B, N, 4), zeros where not real.
        scores_BN: (B, N), at least 0.
        groups_N: (N,) boxes of different groups leave each other alone.
        num_groups: groups are numbered below this.
        real_BN: (B, N) which boxes take part; None: all.
        iou_thr: a kept box suppresses those with a larger IoU.
        limit: boxes of an image at most.
    """
    images, size = scores_BN.shape
    device = boxes_BN4.device
    if real_BN is not None:
        scores_BN = torch.where(real_BN, scores_BN, -1.0)
    image_B = torch.arange(images, device=device)
    cells_BN = image_B[:, None] + images * groups_N
    keep = nms_in_cells(
        boxes_BN4.flatten(0, 1),
        scores_BN.flatten(),
        cells_BN.flatten(),
        images * num_groups,
        iou_thr,
    )
    image_K = keep // size
    # Along the last dimension: along another CUDA sums up far more slowly.
    place_BK = (image_K == image_B[:, None]).cumsum(1)
    place_K = place_BK.gather(0, image_K[None])[0] - 1
    place_K = place_K.clamp(max=limit)
    rows = keep.new_zeros((images, limit + 1))
    real = torch.zeros_like(rows, dtype=torch.bool)
    good_K = (scores_BN.flatten()[keep] >= 0) & (place_K < limit)
    rows[image_K, place_K] = keep % size
    real[image_K, place_K] = good_K
    return rows[:, :limit], real[:, :limit]


def nms_in_cells(
    boxes_N4: Tensor, scores_N: Tensor, cells_N: Tensor, num_cells: int, iou_thr: float
) -> Tensor:
    """Rows (K,) that greedy NMS keeps in each cell, by falling score.

    Cells are moved apart over a square, so that the numbers stay about as small, and
    the IoUs as exact, as in mmcv's own NMS by groups.

    Args:
        boxes_N4: N at least 1.
        scores_N: what ranks them.
        cells_N: int64 below ``num_cells``; boxes of different cells leave each other
            alone.
        num_cells: number of cells.
        iou_thr: a kept box suppresses those with a larger IoU.
    """
    width = math.isqrt(max(num_cells - 1, 0)) + 1
    shift = torch.stack([cells_N % width, cells_N // width] * 2, dim=-1)
    apart = boxes_N4 + shift * (boxes_N4.amax() + 1)
    return nms(apart.float(), scores_N.float(), iou_thr)[1]


def detections_nms(
    boxes_N4: Tensor,
    scores_N: Tensor,
    images_N: Tensor,
    labels_N: Tensor,
    num_images: int,
    num_classes: int,
    cfg: Any,
) -> tuple[Tensor, list[int]]:
    """Rows that NMS by class keeps, image after image and by falling score.

    Args:
        boxes_N4: candidates of all images, image after image.
        scores_N: what ranks them.
        images_N: int64 image of each.
        labels_N: int64 class of each.
        num_images: images of the batch.
        num_classes: C.
        cfg: ``nms``, see :func:`plain_nms`, and ``max_per_img``; -1 for no limit.

    Returns:
        Rows (K,), and how many of them are of each image.
    """
    if not len(boxes_N4):
        return labels_N, [0] * num_images
    limit = cfg.max_per_img if cfg.max_per_img > 0 else len(boxes_N4)
    numbers_B = torch.arange(num_images, device=images_N.device)
    if in_one_call(boxes_N4) and len(boxes_N4) <= _MOST_IN_ONE_CALL:
        cells_N = images_N + num_images * labels_N
        num_cells = num_images * num_classes
        iou_thr = cfg.nms["iou_threshold"]
        keep_K = nms_in_cells(boxes_N4, scores_N, cells_N, num_cells, iou_thr)
        images_K = images_N[keep_K]
        of_image_BK = images_K == numbers_B[:, None]
        place_K = of_image_BK.cumsum(1).gather(0, images_K[None])[0]
        images_K = torch.where(place_K <= limit, images_K, num_images)
        counts = of_image_BK.sum(1).clamp(max=limit).tolist()
        return keep_K[images_K.argsort(stable=True)[: sum(counts)]], counts
    sizes = (images_N[:, None] == numbers_B).sum(0).tolist()
    keeps, start = [], 0
    columns = boxes_N4.split(sizes), scores_N.split(sizes), labels_N.split(sizes)
    for boxes, scores, labels in zip(*columns, strict=True):
        keep = labels[:0]
        if len(boxes):
            keep = batched_nms(boxes, scores, labels, cfg.nms)[1][:limit]
        keeps.append(keep + start)
        start += len(boxes)
    return torch.cat(keeps), [len(keep) for keep in keeps]


@lru_cache(maxsize=64)
def _level_numbers(sizes: tuple[int, ...], device: torch.device) -> Tensor:
    """(N,) level of each of the boxes that stand level after level."""
    numbers = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    return numbers.to(device, non_blocking=True)
