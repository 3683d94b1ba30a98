"""Anchor heads that assign, sample and learn for all images of a batch at once.

The classes have the names of those that they stand for, as configs and messages do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models import dense_heads
from mmdet.models.dense_heads import AnchorHead
from mmdet.models.losses import CrossEntropyLoss, FocalLoss
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import AnchorGenerator
from mmdet.models.task_modules.samplers import PseudoSampler
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.maths.assignment import assign_max_iou, sample_by_keys
from ssod_mm.models.anchor_grids import anchor_grid, valid_anchors
from ssod_mm.models.batched.padding import (
    NO_OBJECT,
    image_sizes,
    padded_boxes,
    padded_ignored,
)
from ssod_mm.models.batched.parts import means_of_parts, sums_of_parts
from ssod_mm.models.batched.proposals import PaddedProposals, plain_nms, proposals
from ssod_mm.models.batched.rules import (
    assign_rule,
    box_loss,
    cls_loss,
    has_plain_box_loss,
    sample_rule,
)
from ssod_mm.models.size_groups import Features, GroupedFeatures, joined


def fits_anchor_head(head: AnchorHead) -> bool:
    """Whether the batched form knows all that the head is made of."""
    train = head.train_cfg
    plain = (
        type(head.prior_generator) is AnchorGenerator
        and type(head.bbox_coder) is DeltaXYWHBBoxCoder
        and not head.bbox_coder.use_box_type
        and not head.bbox_coder.add_ctr_clamp
        and not head.reg_decoded_bbox
        and type(head.loss_cls) in (CrossEntropyLoss, FocalLoss)
        and head.loss_cls.reduction == head.loss_bbox.reduction == "mean"
        and has_plain_box_loss(head)
    )
    if not plain or not train:
        return plain
    sampled = type(head.sampler) is PseudoSampler or (
        sample_rule(head.sampler) is not None and not head.sampler.add_gt_as_proposals
    )
    inside = train.get("allowed_border", -1) < 0
    return sampled and inside and assign_rule(head.assigner) is not None


class BatchedAnchorHead(AnchorHead):
    """What is put between an anchor head and mmdet's ``AnchorHead``.

    The losses are those of mmdet; where candidates are sampled, they are computed of
    these alone. The keys of the sampling come from :meth:`sampling_keys`.

    Attributes:
        parts: numbers of images of the parts of the batch that have losses of their
            own, see :func:`~ssod_mm.models.batched.parts.losses_of_parts`; None: the
            batch is one part.
    """

    parts: tuple[int, ...] | None = None

    @property
    def takes_groups(self) -> bool:
        """Whether it takes :class:`GroupedFeatures`."""
        return self.use_sigmoid_cls

    def forward(self, x: Features) -> tuple[list[Tensor], list[Tensor]]:
        """Logits and deltas of each level, see mmdet's method.

        Args:
            x: feature maps; of :class:`GroupedFeatures` each group is treated by
                itself, and beyond its maps there is no object.
        """
        forward = super().forward
        if not isinstance(x, GroupedFeatures):
            return forward(x)
        logits, deltas = zip(*(forward(maps) for maps in x.groups), strict=True)
        return (
            [joined(maps, x.order, NO_OBJECT) for maps in zip(*logits, strict=True)],
            [joined(maps, x.order, 0.0) for maps in zip(*deltas, strict=True)],
        )

    def sampling_keys(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Uniform keys (B, N), by which anchors are sampled."""
        return torch.rand(size, device=device)

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, list[Tensor]]:
        """Losses of a batch, see mmdet's method.

        Args:
            cls_scores: logits of each level, (B, A * C, h, w).
            bbox_preds: deltas of each level, (B, A * 4, h, w).
            batch_gt_instances: boxes and labels of each image.
            batch_img_metas: meta information of each image.
            batch_gt_instances_ignore: ignored boxes of each image.

        Returns:
            ``loss_cls`` and ``loss_bbox``, each a list of one value for all levels, or
            of one for each of ``parts``.
        """
        device = cls_scores[0].device
        grids = [tuple(level.shape[-2:]) for level in cls_scores]
        anchors_N4 = anchor_grid(self, grids, device).anchors
        truth = padded_boxes(batch_gt_instances, anchors_N4)
        assigned_BN = assign_max_iou(
            anchors_N4[None],
            truth.boxes,
            truth.real,
            assign_rule(self.assigner),
            *padded_ignored(batch_gt_instances_ignore, anchors_N4),
            valid_anchors(self, grids, batch_img_metas, device),
        )
        logits = flat_levels(cls_scores, self.cls_out_channels)
        deltas = flat_levels(bbox_preds, self.bbox_coder.encode_size)
        rule = sample_rule(self.sampler)
        if rule is None:
            foreground, background = assigned_BN > 0, assigned_BN == 0
            anchors = anchors_N4.expand(len(assigned_BN), -1, -1)
            counted_B = foreground.sum(1).clamp(min=1)
        else:
            keys = self.sampling_keys(tuple(assigned_BN.shape), device)
            rows_BS, foreground, background = sample_by_keys(assigned_BN, keys, rule)
            assigned_BN = assigned_BN.gather(1, rows_BS)
            logits, deltas = _rows(logits, rows_BS), _rows(deltas, rows_BS)
            anchors = anchors_N4[rows_BS]
            counts = torch.stack([foreground.sum(1), background.sum(1)])
            counted_B = counts.clamp(min=1).sum(0)
        which = (assigned_BN - 1).clamp(min=0)
        labels = truth.labels.gather(1, which)
        labels = torch.where(foreground, labels, self.num_classes)
        boxes = torch.where(foreground[..., None], _rows(truth.boxes, which), anchors)
        targets = self.bbox_coder.encode(anchors.flatten(0, 1), boxes.flatten(0, 1))
        box_weights = foreground.flatten()[:, None].float()
        weights = (foreground | background).float().flatten()
        if self.train_cfg["pos_weight"] > 0:
            factor = self.train_cfg["pos_weight"] - 1
            weights = weights + factor * box_weights[:, 0]
        loss_cls = cls_loss(
            self.loss_cls, logits.flatten(0, 1), labels.flatten(), weights
        )
        loss_bbox = box_loss(
            self.loss_bbox,
            deltas.flatten(0, 1),
            targets,
            box_weights.expand(-1, targets.shape[1]),
            reduction_override="none",
        )
        counted = sums_of_parts(counted_B, self.parts)
        return dict(
            loss_cls=means_of_parts(loss_cls, counted, self.parts),
            loss_bbox=means_of_parts(loss_bbox, counted, self.parts),
        )


class RPNHead(dense_heads.RPNHead, BatchedAnchorHead):
    """``RPNHead`` for all images at once; its proposals are padded."""

    def predict_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        score_factors: list[Tensor] | None = None,
        batch_img_metas: list[dict] | None = None,
        cfg: Any = None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> Sequence[InstanceData]:
        """Proposals of each image, see mmdet's method.

        Args:
            cls_scores: logits of each level, (B, A * C, h, w).
            bbox_preds: deltas of each level, (B, A * 4, h, w).
            score_factors: None.
            batch_img_metas: meta information of each image.
            cfg: ``nms_pre``, ``min_bbox_size``, ``nms`` and ``max_per_img``.
            rescale: whether boxes are wanted in the original images.
            with_nms: true.

        Returns:
            :class:`PaddedProposals`, which reads as mmdet's list; mmdet's own where
            something other than proposals by plain NMS is asked for.
        """
        cfg = self.test_cfg if cfg is None else cfg
        if rescale or not with_nms or not plain_nms(cfg.nms):
            return super().predict_by_feat(
                cls_scores,
                bbox_preds,
                score_factors,
                batch_img_metas,
                cfg,
                rescale,
                with_nms,
            )
        grids = [tuple(level.shape[-2:]) for level in cls_scores]
        device = cls_scores[0].device
        return self._proposals(
            anchor_grid(self, grids, device).levels,
            [level.detach() for level in cls_scores],
            [level.detach() for level in bbox_preds],
            image_sizes(batch_img_metas, device),
            cfg,
        )

    def _proposals(
        self,
        anchors: Sequence[Tensor],
        cls_scores: Sequence[Tensor],
        bbox_preds: Sequence[Tensor],
        limits_B4: Tensor,
        cfg: Any,
    ) -> PaddedProposals:
        levels = []
        images = len(limits_B4)
        for anchors_n4, logits, deltas in zip(
            anchors, cls_scores, bbox_preds, strict=True
        ):
            scores = _flat(logits, self.cls_out_channels)
            if self.use_sigmoid_cls:
                scores = scores[..., 0].sigmoid()
            else:
                scores = scores.softmax(-1)[..., 0]
            deltas = _flat(deltas, self.bbox_coder.encode_size)
            priors = anchors_n4.expand(images, -1, -1)
            limit = cfg.get("nms_pre", -1)
            if 0 < limit < scores.shape[1]:
                scores, best = scores.topk(limit, dim=1)
                deltas, priors = _rows(deltas, best), anchors_n4[best]
            levels.append((priors, deltas, scores))
        priors, deltas, scores = (
            torch.cat(part, 1) for part in zip(*levels, strict=True)
        )
        limits = limits_B4[:, None].expand_as(deltas).flatten(0, 1)
        boxes = self.bbox_coder.decode(
            priors.flatten(0, 1), deltas.flatten(0, 1), max_shape=limits
        ).view_as(deltas)
        sizes = [len_scores.shape[1] for _, _, len_scores in levels]
        return proposals(boxes, scores, sizes, cfg)


class RetinaHead(dense_heads.RetinaHead, BatchedAnchorHead):
    """``RetinaHead`` that learns from all images at once; it predicts as mmdet's."""


def _flat(level: Tensor, channels: int) -> Tensor:
    """A level's output (B, A * channels, h, w) by anchor, (B, n, channels)."""
    return level.permute(0, 2, 3, 1).reshape(len(level), -1, channels)


def flat_levels(levels: Sequence[Tensor], channels: int) -> Tensor:
    """Outputs of all levels by anchor, (B, N, channels)."""
    return torch.cat([_flat(level, channels) for level in levels], dim=1)


def _rows(values_BNC: Tensor, rows_BS: Tensor) -> Tensor:
    """(B, S, C) of (B, N, C), rows chosen for each image."""
    index = rows_BS[..., None].expand(-1, -1, values_BNC.shape[-1])
    return values_BNC.gather(1, index)
