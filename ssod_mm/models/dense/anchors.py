"""Dense guidance on anchors: of the RPN, and of one-stage detectors.

The teacher's anchors (:func:`anchor_candidates`) are clustered by its NMS. Each finds
its partner among the student's anchors (:func:`partners`), which learns class and kept
box of the cluster (:func:`anchor_losses`).
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import AnchorHead, GFLHead, RetinaHead, RPNHead
from mmdet.structures import SampleList
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.maths.anchors import anchor_levels, match_anchors
from ssod_mm.maths.boxes import clip_boxes
from ssod_mm.models.anchor_grids import anchor_grid, valid_anchors
from ssod_mm.models.batched.padding import constant
from ssod_mm.models.dense.boxes import box_losses, decoded_boxes, num_box_outputs
from ssod_mm.models.dense.clusters import Candidates, Clusters, class_floors
from ssod_mm.models.dense.losses import Matches, Targets, cluster_losses
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.heads.answers import focal_parameters

Maps = Sequence[Tensor]


def check_anchor_head(head: torch.nn.Module, key: str) -> None:
    """Refuse a head that dense guidance cannot read.

    Args:
        head: RPN or box head of the detector.
        key: config key of its stage's settings, for the message.

    Raises:
        ValueError: no anchors, softmax outputs, or levels of different anchors.
    """
    name = type(head).__name__
    if not isinstance(head, AnchorHead):
        raise UserError(
            f"{key}: dense guidance matches anchors, but {name} has none; use an "
            f"anchor-based head such as RetinaHead, or set {key}.mode='sparse'."
        )
    if not isinstance(head, (RetinaHead, RPNHead, GFLHead)):
        raise UserError(
            f"{key}: dense guidance reads a class score and the box of an anchor, and "
            f"{name} gives something else; use RetinaHead or GFLHead, or set "
            f"{key}.mode='sparse'."
        )
    if not head.use_sigmoid_cls:
        raise UserError(
            f"{key}: dense guidance needs sigmoid scores; set loss_cls.use_sigmoid="
            f"True in the {name}, or {key}.mode='sparse'."
        )
    if len(set(head.prior_generator.num_base_priors)) > 1:
        raise UserError(
            f"{key}: dense guidance needs as many anchors per point on each level of "
            f"{name}, which has {head.prior_generator.num_base_priors}."
        )


def flat_maps(maps: Maps, channels: int) -> Tensor:
    """Outputs of all levels (B, N, channels), float32, in the order of the anchors."""
    return torch.cat(
        [m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, channels) for m in maps], dim=1
    ).float()


def anchor_candidates(
    head: AnchorHead,
    cls_maps: Maps,
    box_maps: Maps,
    samples: SampleList,
    stage: DenseStage,
    taus_C: Tensor | None = None,
) -> tuple[Candidates, dict[str, Tensor]]:
    """Candidates among the teacher's anchors, in the weak views.

    Their groups are those in which the head itself would do NMS: by image and level for
    an RPN, by image and class for a one-stage detector.

    Args:
        head: the teacher's head.
        cls_maps: its class logits per level, (B, A * C, h, w).
        box_maps: its box outputs per level, (B, A * 4, h, w), of GFL more.
        samples: data samples of the weak views.
        stage: settings.
        taus_C: a threshold for each class in place of ``stage.tau``.

    Returns:
        The candidates; and ``all_priors`` and ``clear`` of :class:`Clusters`, or with
        ``stage.background="all"`` nothing.
    """
    device = cls_maps[0].device
    logits = flat_maps(cls_maps, head.cls_out_channels)
    grids = [m.shape[-2:] for m in cls_maps]
    grid = anchor_grid(head, grids, device)
    anchors_N4 = grid.anchors
    taus_C, floors_C = class_floors(stage, logits.shape[-1], taus_C, logits)
    images, rows, labels = (logits >= floors_C.logit()).nonzero(as_tuple=True)
    scores = logits[images, rows, labels].sigmoid()
    priors = anchors_N4[rows]
    outputs = flat_maps(box_maps, num_box_outputs(head))[images, rows]
    shapes = tuple(tuple(sample.img_shape[:2]) for sample in samples)
    sizes = constant(shapes, device, torch.int64)
    boxes = clip_boxes(decoded_boxes(head, priors, outputs), sizes[images])

    if isinstance(head, RPNHead):
        groups = images * len(grids) + grid.level_numbers[rows]
    else:
        groups = images * head.num_classes + labels
    iou_thr = stage.iou_thr
    if iou_thr is None:
        iou_thr = head.test_cfg["nms"]["iou_threshold"]
    sides = boxes[:, 2:] - boxes[:, :2]
    counts = (sides > 0).all(1) & (scores >= taus_C[labels])
    ranks = torch.where(counts, scores, -1.0)
    flat_rows = images * len(anchors_N4) + rows
    candidates = Candidates(
        images, flat_rows, labels, scores, ranks, priors, boxes, groups, iou_thr
    )
    if stage.background == "all":
        return candidates, {}
    metas = [sample.metainfo for sample in samples]
    clear_BN = (logits < floors_C.logit()).all(-1)
    valid_BN = valid_anchors(head, grids, metas, device)
    if valid_BN is not None:
        clear_BN &= valid_BN
    all_priors = anchors_N4.expand(len(samples), -1, -1)
    return candidates, {"all_priors": all_priors, "clear": clear_BN}


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
    grid = anchor_grid(head, grids, priors.device)
    nearest, base_size = stage.level == "nearest", stage.base_size
    if base_size is None:
        # The level's middle: anchors of several scales must all stay on their level.
        middle = statistics.geometric_mean if nearest else min
        base_size = middle(grid.base_sides)
    levels = anchor_levels(priors, base_size, len(grids), nearest)
    index, iou = match_anchors(priors, levels, grid.matching)
    return images * len(grid.anchors) + index, iou


def partners(
    head: AnchorHead,
    grids: Sequence[tuple[int, int]],
    candidates: Clusters,
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
        candidates: the teacher's clusters, mapped to the strong views.
        stage: settings.
        num_anchors: R, anchors of the student's batch.

    Returns:
        Rows (M,) of the candidates' partners among the anchors of the batch, and the
        IoUs (M,); rows (U,) of the unsure ones' partners; and which anchors (R,) are
        partners of clear background, None with ``stage.background="all"``.
    """
    if stage.background == "all":
        priors = torch.cat([candidates.priors, candidates.unsure_priors])
        images = torch.cat([candidates.images, candidates.unsure_images])
        rows, iou = matched_rows(head, grids, priors, images, stage)
        count = len(candidates.priors)
        return rows[:count], iou[:count], rows[count:], None
    num_images, num_priors = candidates.clear.shape
    images = candidates.prior_images
    if images is None:
        images = torch.arange(num_images, device=candidates.images.device)
    rows, iou = matched_rows(
        head,
        grids,
        candidates.all_priors.flatten(0, 1),
        images.repeat_interleave(num_priors),
        stage,
    )
    hits_R = iou.new_zeros(num_anchors)
    hits_R.index_add_(0, rows, (candidates.clear.flatten() & (iou > 0)).to(iou))
    return (
        rows[candidates.rows],
        iou[candidates.rows],
        rows[candidates.unsure_rows],
        hits_R > 0,
    )


def anchor_matches(
    head: AnchorHead,
    grids: Sequence[tuple[int, int]],
    samples: SampleList,
    candidates: Clusters,
    stage: DenseStage,
) -> Matches:
    """Which of the student's anchors the teacher's candidates are.

    Background are the anchors of the view's valid area that are partners of anchors
    below ``tau``, or with ``stage.background="all"`` of no candidate of the teacher. A
    candidate that no anchor overlaps teaches nothing.

    Args:
        head: the student's head.
        grids: height and width of its levels.
        samples: data samples of the strong views.
        candidates: the teacher's clusters, mapped to the strong views.
        stage: settings.
    """
    device, metas = candidates.priors.device, [s.metainfo for s in samples]
    num_anchors = len(samples) * len(anchor_grid(head, grids, device).anchors)
    rows, iou, unsure, background = partners(
        head, grids, candidates, stage, num_anchors
    )
    if background is None:
        background = torch.ones(num_anchors, dtype=torch.bool, device=device)
    valid_BN = valid_anchors(head, grids, metas, device)
    if valid_BN is not None:
        background &= valid_BN.flatten()
    background = background.index_fill(0, torch.cat([rows, unsure]), False)
    return Matches(candidates, rows, iou > 0, background)


def anchor_losses(
    head: AnchorHead,
    cls_maps: Maps,
    box_maps: Maps,
    targets: Targets,
    stage: DenseStage,
    figures: bool = True,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The student's losses on its own anchors, see :func:`anchor_matches`.

    Args:
        head: the student's head.
        cls_maps: its class logits per level.
        box_maps: its box outputs per level.
        targets: what to learn.
        stage: settings.
        figures: whether statistics are wanted.

    Returns:
        See :func:`cluster_losses`.
    """
    logits = flat_maps(cls_maps, head.cls_out_channels).flatten(0, 1)
    grids = [tuple(m.shape[-2:]) for m in cls_maps]
    anchors_N4 = anchor_grid(head, grids, logits.device).anchors
    outputs_RC = flat_maps(box_maps, num_box_outputs(head)).flatten(0, 1)

    def box_loss(rows: Tensor, boxes: Tensor, _labels_M: Tensor) -> Tensor:
        anchors = anchors_N4[rows % len(anchors_N4)]
        return box_losses(head, anchors, outputs_RC[rows], boxes)

    losses, stats = cluster_losses(
        logits,
        outputs_RC,
        box_loss,
        targets,
        stage,
        focal_parameters(head),
        figures=figures,
    )
    scale = getattr(head.loss_cls, "loss_weight", 1.0)
    if scale != 1.0:
        losses["cls"] = losses["cls"] * scale
    return losses, stats
