"""Box heads whose detections carry a localisation quality through NMS.

:class:`LocQualityHead` is a mixin for MMDetection's ``BBoxHead`` family. The head says
how well each of its boxes is placed (:meth:`LocQualityHead.loc_quality`); the mixin
ranks the candidates by class probability p and that quality v together, lets NMS run
once on this rank, and hands p and v on with every kept box.
"""

from __future__ import annotations

from typing import Any

import torch
from mmcv.ops import batched_nms
from mmdet.structures.bbox import get_box_tensor
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.errors import UserError

SCORE_FACTORS = ("p", "p*v", "sqrt(p*v)")


def ranking_scores(cls_scores: Tensor, loc_scores: Tensor, factor: str) -> Tensor:
    """What candidates are ranked by in NMS and in the final output.

    Args:
        cls_scores: class probabilities p in [0, 1], any shape.
        loc_scores: localisation qualities v in [0, 1], of a shape that broadcasts.
        factor: one of ``SCORE_FACTORS``.

    Returns:
        Scores in [0, 1] of ``cls_scores``' shape.

    Raises:
        ValueError: for another ``factor``.
    """
    if factor == "p":
        return cls_scores
    if factor == "p*v":
        return cls_scores * loc_scores
    if factor == "sqrt(p*v)":
        return (cls_scores * loc_scores).sqrt()
    raise UserError(
        f"bbox_head.score_factor must be one of {list(SCORE_FACTORS)}, not {factor!r}."
    )


class LocQualityHead:
    """Mixin: detections with ``cls_scores`` (p), ``loc_scores`` (v) and their rank.

    Put it before the box head that it extends, ``class MyHead(LocQualityHead,
    Shared2FCBBoxHead)``, and implement :meth:`loc_quality`. Works under
    ``StandardRoIHead`` and, with the last stage's quality, ``CascadeRoIHead``.

    ``test_cfg.rcnn.score_thr`` is compared with p, whatever the rank is. In the
    results ``scores`` is the rank, so that AP follows it.

    Args:
        *args: arguments of the box head.
        score_factor: how p and v rank the candidates: ``"p"``, ``"p*v"`` or
            ``"sqrt(p*v)"``.
        **kwargs: arguments of the box head.
    """

    def __init__(self, *args: Any, score_factor: str = "p*v", **kwargs: Any) -> None:
        ranking_scores(torch.ones(1), torch.ones(1), score_factor)
        super().__init__(*args, **kwargs)
        self.score_factor = score_factor

    def loc_quality(self, bbox_pred: Tensor, rois: Tensor) -> Tensor:
        """Quality of the boxes that a box branch predicts.

        Args:
            bbox_pred: the head's second output for N RoIs, (N, ...).
            rois: (N, 5), image index and xyxy.

        Returns:
            float32 in [0, 1], (N,) or one per class (N, C).
        """
        raise NotImplementedError

    def _predict_by_feat_single(
        self,
        roi: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        img_meta: dict,
        rescale: bool = False,
        rcnn_test_cfg: ConfigDict | None = None,
    ) -> InstanceData:
        """Detections of one image; the raw candidates where there is no test config.

        Args:
            roi: (N, 5).
            cls_score: (N, C + 1) logits.
            bbox_pred: the box branch's output for these RoIs.
            img_meta: the image's meta information.
            rescale: whether boxes are wanted in the original image.
            rcnn_test_cfg: ``score_thr``, ``nms`` and ``max_per_img``.

        Returns:
            ``bboxes`` (M, 4), ``scores``, ``cls_scores``, ``loc_scores`` (M,) and
            ``labels`` (M,), by falling ``scores``.
        """
        raw = super()._predict_by_feat_single(
            roi, cls_score, bbox_pred, img_meta, rescale, rcnn_test_cfg=None
        )
        num_classes = self.num_classes
        cls_scores = raw.scores[:, :num_classes].float()
        quality = self.loc_quality(bbox_pred, roi).float().detach()
        if rcnn_test_cfg is None:
            return InstanceData(
                bboxes=raw.bboxes, scores=raw.scores, loc_scores=quality
            )
        per_class = quality if quality.dim() == 2 else quality[:, None]
        loc_scores = per_class.expand(-1, num_classes)
        boxes = get_box_tensor(raw.bboxes).float().unflatten(1, (-1, 4))
        rows, labels = (cls_scores > rcnn_test_cfg.score_thr).nonzero(as_tuple=True)
        boxes = boxes.expand(-1, num_classes, 4)[rows, labels]
        candidates = InstanceData(
            bboxes=boxes,
            cls_scores=cls_scores[rows, labels],
            loc_scores=loc_scores[rows, labels],
            labels=labels,
        )
        candidates.scores = ranking_scores(
            candidates.cls_scores, candidates.loc_scores, self.score_factor
        )
        if len(candidates) == 0:
            return candidates
        dets, keep = batched_nms(boxes, candidates.scores, labels, rcnn_test_cfg.nms)
        kept = candidates[keep]
        kept.scores = dets[:, -1]
        limit = rcnn_test_cfg.max_per_img
        return kept[:limit] if limit > 0 else kept
