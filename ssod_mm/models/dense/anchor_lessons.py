"""What the student learns on its anchors from the clusters of the teacher's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import AnchorHead
from mmdet.structures import SampleList
from torch import Tensor

from ssod_mm.maths.anchors import anchor_levels, match_anchors
from ssod_mm.maths.boxes import box_areas
from ssod_mm.models.dense.anchor_heads import Maps, flat_maps
from ssod_mm.models.dense.cluster_losses import (
    Lesson,
    cluster_lesson,
    lesson_losses,
)
from ssod_mm.models.dense.clusters import Clusters
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.heads.answers import focal_parameters


def matched_rows(
    head: AnchorHead,
    grids: Sequence[tuple[int, int]],
    priors: Tensor,
    images: Tensor,
    stage: DenseStage,
) -> tuple[Tensor, Tensor]:
    """The student's anchor of each mapped anchor of the teacher.

    Args:
        head: the student's head.
        grids: height and width of its levels.
        priors: anchors of the teacher in strong-view pixels.
        images: their images.
        stage: settings.

    Returns:
        Rows (M,) among the anchors of the batch, and the IoUs (M,).
    """
    generator, device = head.prior_generator, priors.device
    base_LA4 = torch.stack(list(generator.base_anchors)).to(device)
    strides = torch.tensor(generator.strides, device=device)
    sizes = torch.tensor([tuple(grid) for grid in grids], device=device)
    nearest, base_size = stage.level == "nearest", stage.base_size
    if base_size is None:
        sides = box_areas(generator.base_anchors[0].float()).sqrt()
        # The level's middle: anchors of several scales must all stay on their level.
        base_size = float(sides.log().mean().exp() if nearest else sides.min())
    levels = anchor_levels(priors, base_size, len(grids), nearest)
    index, iou = match_anchors(priors, levels, base_LA4, strides, sizes)
    num_anchors = sum(h * w for h, w in grids) * base_LA4.shape[1]
    return images * num_anchors + index, iou


def partners(
    head: AnchorHead,
    grids: Sequence[tuple[int, int]],
    found: Clusters,
    stage: DenseStage,
    num_anchors: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """The student's anchors of the teacher's candidates, and of clear background.

    Reference:
        DTG-SSOD, section 3.2: background are the student samples of teacher samples
        below tau.

    Args:
        head: the student's head.
        grids: height and width of its levels.
        found: the teacher's clusters, mapped to the strong views.
        stage: settings.
        num_anchors: R, anchors of the student's batch.

    Returns:
        Rows (M,) of the candidates' partners among the anchors of the batch, and the
        IoUs (M,); rows (U,) of the unsure ones' partners; and which anchors (R,) are
        partners of clear background, None with ``stage.background="all"``.
    """
    if stage.background == "all":
        rows, iou = matched_rows(head, grids, found.priors, found.images, stage)
        unsure, _ = matched_rows(
            head, grids, found.unsure_priors, found.unsure_images, stage
        )
        return rows, iou, unsure, None
    num_images, num_priors = found.clear.shape
    images = found.prior_images
    if images is None:
        images = torch.arange(num_images, device=found.images.device)
    rows, iou = matched_rows(
        head,
        grids,
        found.all_priors.flatten(0, 1),
        images.repeat_interleave(num_priors),
        stage,
    )
    hits_R = iou.new_zeros(num_anchors)
    hits_R.index_add_(0, rows, (found.clear.flatten() & (iou > 0)).to(iou))
    return rows[found.rows], iou[found.rows], rows[found.unsure_rows], hits_R > 0


def anchor_lesson(
    head: AnchorHead,
    grids: Sequence[tuple[int, int]],
    samples: SampleList,
    found: Clusters,
    stage: DenseStage,
) -> tuple[Lesson, Tensor]:
    """What the student learns on its own anchors, and the anchors (R, 4).

    Background are the anchors of the view's valid area that are partners of anchors
    below ``tau``, or with ``stage.background="all"`` of no candidate of the teacher. A
    candidate whose kept box is not visible in the strong view, or that no anchor
    overlaps, teaches nothing.

    Args:
        head: the student's head.
        grids: height and width of its levels.
        samples: data samples of the strong views.
        found: the teacher's clusters, mapped to the strong views.
        stage: settings.
    """
    anchors, valid = head.get_anchors(
        grids, [sample.metainfo for sample in samples], device=found.priors.device
    )
    anchors_R4 = torch.cat([level for image in anchors for level in image])
    background = torch.cat([level for image in valid for level in image])
    rows, iou, unsure, clear_R = partners(head, grids, found, stage, len(background))
    if clear_R is not None:
        background &= clear_R
    background = background.index_fill(0, torch.cat([rows, unsure]), False)
    return cluster_lesson(found, rows, iou > 0, background, stage), anchors_R4


def anchor_losses(
    head: AnchorHead,
    cls_maps: Maps,
    box_maps: Maps,
    samples: SampleList,
    found: Clusters,
    stage: DenseStage,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The student's losses on its own anchors, see :func:`anchor_lesson`.

    Args:
        head: the student's head.
        cls_maps: its class logits per level.
        box_maps: its box outputs per level.
        samples: data samples of the strong views.
        found: the teacher's clusters, mapped to the strong views.
        stage: settings.

    Returns:
        See :func:`lesson_losses`.
    """
    logits = flat_maps(cls_maps, head.cls_out_channels).flatten(0, 1)
    grids = [tuple(m.shape[-2:]) for m in cls_maps]
    lesson, anchors_R4 = anchor_lesson(head, grids, samples, found, stage)
    deltas_R4 = flat_maps(box_maps, head.bbox_coder.encode_size).flatten(0, 1)

    def box_loss(rows: Tensor, targets: Tensor, _labels_M: Tensor) -> Tensor:
        predicted, priors = deltas_R4[rows], anchors_R4[rows]
        if head.reg_decoded_bbox:
            predicted = head.bbox_coder.decode(priors, predicted)
        else:
            targets = head.bbox_coder.encode(priors, targets)
        values = head.loss_bbox(predicted, targets, reduction_override="none")
        return values.reshape(len(rows), -1).sum(1)

    losses, stats = lesson_losses(
        logits, box_loss, lesson, stage, focal_parameters(head)
    )
    scale = getattr(head.loss_cls, "loss_weight", 1.0)
    losses["cls"] = losses["cls"] * scale
    losses["reg"] = losses["reg"] + deltas_R4.sum() * 0.0
    return losses, stats
