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

from ssod_mm.maths.clustering import greedy_nms
from ssod_mm.models.batched.padding import first_ones

# Boxes of one call of NMS at most: it needs memory for a bit for each pair, 200 MB.
_MOST_IN_ONE_CALL = 40_000
# Times the limit of proposals, of which NMS at an IoU of 0.7 keeps some four in five.
_BEST = 2
# IoUs of one search among proposals at most: about 15 bytes each, 1 GB.
_MOST_PAIRS = 2**26


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
    limit = min(cfg.max_per_img, boxes_BN4.shape[1])
    search = joint_nms if in_one_call(boxes_BN4) else nms_by_image
    rows, real = search(boxes_BN4, scores_BN, levels_N, real_BN, cfg.nms, limit)
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
    real_BN: Tensor | None,
    cfg: Any,
    limit: int,
) -> tuple[Tensor, Tensor]:
    """Rows (B, L) that NMS keeps of each image, and which of them are real.

    One search for the batch, among the best ``2 * limit`` boxes of each image: worse
    boxes suppress none of them, so that those that NMS keeps of all are the same as
    long as there are enough. Where there are not, or where all pairs would take too
    much memory, NMS sees all boxes, image by image.

    Args:
        boxes_BN4: (B, N, 4).
        scores_BN: (B, N), at least 0.
        groups_N: (N,) boxes of different groups leave each other alone.
        real_BN: (B, N) which boxes take part; None: all.
        cfg: config of NMS.
        limit: boxes of an image at most.
    """
    most = min(_BEST * limit, len(groups_N))
    if len(boxes_BN4) * most**2 > _MOST_PAIRS:
        return nms_by_image(boxes_BN4, scores_BN, groups_N, real_BN, cfg, limit)
    ranks_BN = scores_BN
    if real_BN is not None:
        ranks_BN = torch.where(real_BN, scores_BN, -1.0)
    ranks_BM, rows_BM = ranks_BN.sort(dim=1, descending=True, stable=True)
    ranks_BM, rows_BM = ranks_BM[:, :most], rows_BM[:, :most]
    # Groups are moved apart, as mmcv does.
    apart_BN4 = boxes_BN4.float()
    apart_BN4 = apart_BN4 + (groups_N * (apart_BN4.amax() + 1))[:, None]
    best_BM4 = apart_BN4.gather(1, rows_BM[..., None].expand(-1, -1, 4))
    kept_BM, counts = greedy_nms(best_BM4, ranks_BM >= 0, cfg["iou_threshold"])
    if most < len(groups_N) and min(counts) < limit:
        return nms_by_image(boxes_BN4, scores_BN, groups_N, real_BN, cfg, limit)
    kept_BM, front_BM = kept_BM.sort(dim=1, descending=True, stable=True)
    return rows_BM.gather(1, front_BM[:, :limit]), kept_BM[:, :limit] > 0


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
