"""Dense guidance of the R-CNN stage: the teacher's proposals are the student's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.structures import SampleList
from torch import Tensor, nn

from ssod_mm.errors import UserError
from ssod_mm.models.dense.clusters import Candidates, class_floors
from ssod_mm.models.dense.guidance import DenseGuidance
from ssod_mm.models.dense.losses import (
    Matches,
    Targets,
    assignment_shares,
    cluster_losses,
    cluster_targets,
    sampled_background,
)
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.features import Features
from ssod_mm.models.heads.answers import (
    focal_parameters,
    knows_quality,
    pseudo_loss_of,
)
from ssod_mm.models.heads.focal import FocalRoILoss
from ssod_mm.models.heads.quality import ranking_scores

_KEY = "model.dense.rcnn"


@dataclass(frozen=True)
class Proposals:
    """Proposals of a batch, image after image.

    Attributes:
        boxes: (P, 4) xyxy in pixels.
        images: (P,) their images, int64.
        counts: how many each image has.
        real: (P,) which are proposals; the other boxes are zeros. None: all are.
    """

    boxes: Tensor
    images: Tensor
    counts: Sequence[int]
    real: Tensor | None = None


def check_roi_head(roi_head: nn.Module, stage: DenseStage) -> None:
    """Refuse an RoI head that dense guidance cannot read.

    Args:
        roi_head: the detector's.
        stage: settings of the R-CNN stage.

    Raises:
        ValueError: a cascade, a softmax classifier, or ``kept_by`` without a quality.
    """
    head = roi_head.bbox_head
    if isinstance(head, nn.ModuleList) or not isinstance(roi_head, StandardRoIHead):
        raise UserError(
            f"{_KEY}: the teacher's proposals need one box head, as StandardRoIHead "
            f"has; {type(roi_head).__name__} refines its RoIs from stage to stage."
        )
    if not isinstance(head.loss_cls, FocalRoILoss):
        raise UserError(
            f"{_KEY}: the box head must classify by sigmoid focal loss; set "
            "model.detector.roi_head.bbox_head.loss_cls=dict(type='FocalRoILoss') and "
            "cls_predictor_cfg=dict(type='PriorLinear')."
        )
    if stage.kept_by != "p" and not knows_quality(head):
        raise UserError(
            f"{_KEY}.kept_by={stage.kept_by!r} needs a box head with a localisation "
            f"quality, such as IntervalBBoxHead; {type(head).__name__} has none."
        )


def teacher_candidates(
    roi_head: StandardRoIHead,
    features: Features,
    proposals: Proposals,
    samples: SampleList,
    stage: DenseStage,
    taus_C: Tensor | None = None,
) -> tuple[Candidates, Tensor | None]:
    """Candidates among the teacher's proposals, in the weak views.

    Args:
        roi_head: the teacher's.
        features: its feature maps of the weak views.
        proposals: its proposals.
        samples: data samples of the weak views.
        stage: settings.
        taus_C: a threshold for each class in place of ``stage.tau``.

    Returns:
        The candidates; and the localisation quality of each proposal and class (P, C),
        where the box head knows it, else None.
    """
    head = roi_head.bbox_head
    images, boxes = proposals.images, proposals.boxes
    rois = torch.cat([images[:, None].to(boxes), boxes], dim=1)
    boxes_PC4, probs_PC, quality_PC = decoded_rois(
        roi_head, features, rois, samples, proposals.counts
    )
    taus_C, floors_C = class_floors(stage, head.num_classes, taus_C, probs_PC)
    is_sure_PC = probs_PC >= floors_C
    if proposals.real is not None:
        is_sure_PC &= proposals.real[:, None]
    rows, labels = is_sure_PC.nonzero(as_tuple=True)
    scores, boxes = probs_PC[rows, labels], boxes_PC4[rows, labels]
    images = images[rows]
    ranks = scores
    if stage.kept_by != "p":
        ranks = ranking_scores(scores, quality_PC[rows, labels], stage.kept_by)
    ranks = torch.where(scores >= taus_C[labels], ranks, -1.0)
    iou_thr = stage.iou_thr
    if iou_thr is None:
        iou_thr = roi_head.test_cfg["nms"]["iou_threshold"]
    groups = images * head.num_classes + labels
    priors = proposals.boxes[rows]
    candidates = Candidates(
        images, rows, labels, scores, ranks, priors, boxes, groups, iou_thr
    )
    return candidates, quality_PC


def decoded_rois(
    roi_head: StandardRoIHead,
    features: Features,
    rois: Tensor,
    samples: SampleList,
    counts: Sequence[int] | None = None,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """What an RoI head predicts for RoIs, before NMS, in float32.

    Args:
        roi_head: the head.
        features: feature maps of the images.
        rois: (P, 5), image index and xyxy; by image.
        samples: data samples of the images.
        counts: RoIs of each image, where they are known.

    Returns:
        Boxes (P, C, 4), class probabilities (P, C) and, where the box head knows them,
        localisation qualities (P, C), else None.
    """
    head = roi_head.bbox_head
    num_classes = head.num_classes
    known = knows_quality(head)
    if len(rois) == 0:
        probs = rois.new_zeros(0, num_classes)
        boxes = rois.new_zeros(0, num_classes, 4)
        return boxes, probs, probs if known else None
    out = roi_head._bbox_forward(features, rois)
    if counts is None:
        numbers = torch.arange(len(samples), device=rois.device)
        counts = (rois[:, 0] == numbers[:, None]).sum(1).tolist()
    raw = head.predict_by_feat(
        rois=rois.split(counts),
        cls_scores=out["cls_score"].float().split(counts),
        bbox_preds=out["bbox_pred"].float().split(counts),
        batch_img_metas=[sample.metainfo for sample in samples],
        rcnn_test_cfg=None,
        rescale=False,
    )
    raw = [result for result, count in zip(raw, counts, strict=True) if count]
    boxes = torch.cat([result.bboxes for result in raw]).float()
    boxes = boxes.reshape(len(rois), -1, 4).expand(-1, num_classes, 4)
    probs = torch.cat([result.scores for result in raw])[:, :num_classes].float()
    if not known:
        return boxes, probs, None
    quality = torch.cat([result.loc_scores for result in raw]).float()
    return boxes, probs, quality.reshape(len(rois), -1).expand(-1, num_classes)


def proposal_matches(guidance: DenseGuidance) -> Matches:
    """The teacher's proposals are the student's.

    Those that left the strong view or are hidden there teach nothing.

    Args:
        guidance: mapped to the strong views.
    """
    candidates, seen = guidance.stages["rcnn"], guidance.proposals_seen
    touched = torch.cat([candidates.rows, candidates.unsure_rows])
    background = seen.index_fill(0, touched, False)
    return Matches(candidates, candidates.rows, seen[candidates.rows], background)


def student_targets(guidance: DenseGuidance, stage: DenseStage) -> Targets:
    """What the student's R-CNN stage learns about the teacher's proposals.

    Args:
        guidance: mapped to the strong views.
        stage: settings.
    """
    (targets,) = cluster_targets([proposal_matches(guidance)], [stage])
    return targets


def rcnn_losses(
    roi_head: StandardRoIHead,
    outputs_of: Callable[[Tensor], dict[str, Tensor]],
    guidance: DenseGuidance,
    targets: Targets,
    num_images: int,
    stage: DenseStage,
    class_weights_C: Tensor | None = None,
    figures: bool = True,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The student's losses on the teacher's proposals, from one pass of its head.

    With ``stage.max_background`` that pass sees the candidates and a random part of
    the background alone.

    Args:
        roi_head: the student's.
        outputs_of: gives what the head says of RoIs (P, 5) in the strong views.
        guidance: mapped to the strong views.
        targets: what to learn.
        num_images: images of the batch.
        stage: settings.
        class_weights_C: see :func:`cluster_losses`.
        figures: whether statistics are wanted.

    Returns:
        See :func:`cluster_losses`; the statistics also have those of
        :func:`assignment_shares`.
    """
    head, proposals = roi_head.bbox_head, guidance.proposals
    images = guidance.proposal_images
    rois = torch.cat([images[:, None].to(proposals), proposals], dim=1)
    shares = {}
    if figures:
        pos_iou_thr = roi_head.train_cfg["assigner"]["pos_iou_thr"]
        shares = assignment_shares(guidance, targets, pos_iou_thr)
    if stage.max_background is not None:
        targets, used = sampled_background(
            targets, images, num_images, stage.max_background
        )
        rois = rois[used]
    out = outputs_of(rois)
    logits, predicted = out["cls_score"], out["bbox_pred"]

    def box_loss(rows: Tensor, boxes: Tensor, labels: Tensor) -> Tensor:
        return box_head_rows(
            head,
            predicted[rows].float(),
            rois[rows],
            boxes,
            labels,
            roi_head.train_cfg,
        )

    losses, stats = cluster_losses(
        logits,
        predicted,
        box_loss,
        targets,
        stage,
        focal_parameters(head),
        class_weights_C,
        figures,
    )
    if head.loss_cls.loss_weight != 1.0:
        losses["cls"] = losses["cls"] * head.loss_cls.loss_weight
    return losses, {**stats, **shares}


def box_head_rows(
    head: nn.Module,
    predicted_M: Tensor,
    rois_M5: Tensor,
    targets: Tensor,
    labels: Tensor,
    train_cfg: dict,
) -> Tensor:
    """Box loss of each candidate (M,) by the head's own targets and losses.

    Works with any box head of mmdet's interface; several box losses are added. A head
    that tells pseudo labels from true boxes is asked for the former's.
    """
    priors = rois_M5[:, 1:]
    _, _, targets, weights = head._get_targets_single(
        priors, priors[:0], targets, labels, train_cfg
    )
    losses = pseudo_loss_of(head)(
        None,
        predicted_M,
        rois_M5,
        labels,
        torch.ones_like(targets[:, 0]),
        targets,
        weights,
        reduction_override="none",
    )
    rows = [
        v.reshape(len(rois_M5), -1).sum(1) for k, v in losses.items() if "loss" in k
    ]
    return torch.stack(rows).sum(0)
