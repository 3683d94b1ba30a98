"""GFL's head with a localisation quality, and with weights of the boxes it learns.

Its boxes are distributions (:mod:`ssod_mm.maths.distributions`): how far these spread
is a localisation quality that needs no new output. Parameters and detections are those
of MMDetection's head, so that checkpoints fit both.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Any

import torch
from mmdet.models.dense_heads import GFLHead
from mmdet.models.utils import filter_scores_and_topk
from mmdet.registry import MODELS
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ssod_mm.maths.distributions import spread_quality
from ssod_mm.models.features import replaced_method


@MODELS.register_module()
class LocQualityGFLHead(GFLHead):
    """``GFLHead`` whose detections have ``loc_scores`` and whose boxes have weights.

    The detections are ranked by the class score, as MMDetection's: GFL teaches it to
    tell the IoU. ``loc_scores`` are :func:`~ssod_mm.maths.distributions.spread_quality`
    of their distributions.

    Boxes to learn may have ``box_weights`` (M,), factors on the box and distribution
    losses of the anchors that are assigned to them. What divides these losses is not
    changed by them. Boxes without count fully.
    """

    def loc_quality(self, bbox_pred: Tensor) -> Tensor:
        """Localisation quality of predicted boxes.

        Args:
            bbox_pred: (N, 4 * (reg_max + 1)) logits of the distances' bins.

        Returns:
            (N,) float32 in [0, 1].
        """
        return spread_quality(bbox_pred.reshape(-1, 4, self.reg_max + 1))

    def _predict_by_feat_single(
        self,
        cls_score_list: list[Tensor],
        bbox_pred_list: list[Tensor],
        score_factor_list: list[None],
        mlvl_priors: list[Tensor],
        img_meta: dict,
        cfg: ConfigDict | None,
        rescale: bool = False,
        with_nms: bool = True,
    ) -> InstanceData:
        """Detections of one image, see mmdet's method; with ``loc_scores``.

        mmdet's method keeps nothing that tells which outputs a box came from.

        Args:
            cls_score_list: class logits of each level (C, h, w).
            bbox_pred_list: box outputs of each level (4 * (reg_max + 1), h, w).
            score_factor_list: not used.
            mlvl_priors: anchors of each level (h * w, 4).
            img_meta: the image's meta information.
            cfg: test config; None for the head's.
            rescale: whether boxes are wanted in the original image.
            with_nms: whether boxes are suppressed.
        """
        cfg = self.test_cfg if cfg is None else cfg
        levels = []
        for logits, outputs, stride, anchors in zip(
            cls_score_list,
            bbox_pred_list,
            self.prior_generator.strides,
            mlvl_priors,
            strict=True,
        ):
            logits = logits.flatten(1).t()
            outputs = outputs.flatten(1).t()
            scores, labels, rows, _ = filter_scores_and_topk(
                logits.sigmoid(), cfg.score_thr, cfg.get("nms_pre", -1)
            )
            outputs = outputs[rows]
            boxes = self.bbox_coder.decode(
                self.anchor_center(anchors[rows]),
                self.integral(outputs) * stride[0],
                max_shape=img_meta["img_shape"],
            )
            levels.append((boxes, scores, labels, self.loc_quality(outputs)))
        names = "bboxes", "scores", "labels", "loc_scores"
        columns = map(torch.cat, zip(*levels, strict=True))
        return self._bbox_post_process(
            results=InstanceData(**dict(zip(names, columns, strict=True))),
            cfg=cfg,
            rescale=rescale,
            with_nms=with_nms,
            img_meta=img_meta,
        )

    def _get_targets_single(
        self,
        flat_anchors: Tensor,
        valid_flags: Tensor,
        num_level_anchors: list[int],
        gt_instances: InstanceData,
        *args: Any,
        **kwargs: Any,
    ) -> tuple:
        """Targets of one image, see mmdet's method.

        Args:
            flat_anchors: (N, 4).
            valid_flags: (N,).
            num_level_anchors: anchors of each level.
            gt_instances: ``bboxes``, ``labels`` and maybe ``box_weights``.
            *args: as of mmdet's method.
            **kwargs: as of mmdet's method.

        Returns:
            As of mmdet's method; the box targets (N, 5) end with the weights where
            there are any.
        """
        targets = super()._get_targets_single(
            flat_anchors, valid_flags, num_level_anchors, gt_instances, *args, **kwargs
        )
        if "box_weights" not in gt_instances:
            return targets
        sampled = targets[-1]
        factors = gt_instances.box_weights[sampled.pos_assigned_gt_inds]
        boxes, box_weights = targets[3:5]
        # Foreground anchors in their order on the grid, which may be larger than what
        # was sampled from.
        weights = box_weights[:, :1].masked_scatter(
            box_weights[:, :1] > 0, factors[sampled.pos_inds.argsort()].to(box_weights)
        )
        return *targets[:3], torch.cat([boxes, weights], dim=1), *targets[4:]

    def loss_by_feat_single(
        self,
        anchors: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        labels: Tensor,
        label_weights: Tensor,
        bbox_targets: Tensor,
        *args: Any,
        **kwargs: Any,
    ) -> tuple[Tensor, ...]:
        """Losses of one level, see mmdet's method.

        Args:
            anchors: (B, n, 4).
            cls_score: (B, C, h, w).
            bbox_pred: (B, 4 * (reg_max + 1), h, w).
            labels: (B, n), C for background.
            label_weights: (B, n).
            bbox_targets: (B, n, 4), or (B, n, 5) with weights of the box losses.
            *args: as of mmdet's method.
            **kwargs: as of mmdet's method.

        Returns:
            As of mmdet's method.
        """
        boxes, weights = bbox_targets.split((4, bbox_targets.shape[-1] - 4), dim=-1)
        with ExitStack() as weighted:
            if weights.numel():
                foreground = (labels >= 0) & (labels < self.num_classes)
                factors = weights[foreground].flatten()
                for loss in (self.loss_bbox, self.loss_dfl):
                    weighted.enter_context(with_factors(loss, factors))
            return super().loss_by_feat_single(
                anchors,
                cls_score,
                bbox_pred,
                labels,
                label_weights,
                boxes,
                *args,
                **kwargs,
            )


def with_factors(loss: nn.Module, factors: Tensor) -> AbstractContextManager[None]:
    """Let a loss multiply its weights by factors.

    Args:
        loss: a loss of mmdet.
        factors: (P,); the loss is called with as many rows, or several for each.
    """
    forward = loss.forward

    def weighted(
        pred: Tensor, target: Tensor, weight: Tensor, **options: Any
    ) -> Tensor:
        rows = factors.repeat_interleave(len(weight) // max(len(factors), 1))
        return forward(pred, target, weight * rows, **options)

    return replaced_method(loss, "forward", weighted)
