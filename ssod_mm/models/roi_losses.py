"""Another loss in place of an RoI head's own, for the time of a context.

MMDetection's RoI heads assign, sample and forward the candidates and then ask the box
head for ``loss_and_target``. Answering that call from outside leaves everything before
it as it is: standard and cascade heads, one forward pass, mask heads, any sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from mmdet.models import BaseDetector
from mmdet.models.losses import accuracy
from mmdet.models.task_modules.samplers import SamplingResult
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ssod_mm.errors import UserError
from ssod_mm.models.features import replaced_method
from ssod_mm.models.heads.answers import box_heads, pseudo_loss_of


@dataclass(frozen=True)
class Candidates:
    """An RoI head's sampled candidates of all images, and what it says of them.

    Foreground candidates of an image stand before its background ones.

    Attributes:
        head: the box head.
        stage: its cascade stage; 0 in a standard RoI head.
        cls_score: (P, K) logits.
        bbox_pred: the box branch's output, P rows.
        rois: (P, 5), image index and xyxy in pixels of the view.
        sampling: per image what the sampler chose.
        labels: (P,) assigned classes, C for background.
        label_weights: (P,) weights of the classification losses.
        bbox_targets: targets of the box losses, P rows.
        bbox_weights: weights of the box losses, P rows.
    """

    head: nn.Module
    stage: int
    cls_score: Tensor
    bbox_pred: Tensor
    rois: Tensor
    sampling: Sequence[SamplingResult]
    labels: Tensor
    label_weights: Tensor
    bbox_targets: Tensor
    bbox_weights: Tensor

    @property
    def foreground(self) -> Tensor:
        """(P,) bool: assigned to an object."""
        return (self.labels >= 0) & (self.labels < self.head.num_classes)


RoILoss = Callable[[Candidates], dict[str, Tensor]]


@contextmanager
def roi_losses(
    detector: BaseDetector,
    loss: RoILoss | None = None,
    class_weights_C: Tensor | None = None,
) -> Iterator[None]:
    """Let the box heads of a detector compute another loss than their own.

    With class weights the classification and box losses of a foreground candidate of
    class m are multiplied by ``class_weights_C[m]``. They are still divided by the
    *number* of candidates, so that the weights do not cancel. The RPN knows no classes
    and stays as it is. The weights work by mmdet's own ``label_weights`` and
    ``bbox_weights``, with any box head that normalises by counts, as mmdet's do.

    Args:
        detector: a detector; without ``loss`` and weights one of any kind.
        loss: from the candidates of one stage to a loss dict; None is the head's own.
        class_weights_C: above 0, on the detector's device; None for 1.

    Raises:
        ValueError: the RoI head did not ask a box head for its loss; names the config
            key.
    """
    if loss is None and class_weights_C is None:
        yield
        return
    heads = box_heads(detector)
    asked: set[int] = set()
    with ExitStack() as replaced:
        for stage, head in enumerate(heads):
            answer = partial(
                _loss_and_target, loss or true_box_loss, class_weights_C, asked, stage
            )
            replaced.enter_context(
                replaced_method(head, "loss_and_target", partial(answer, head))
            )
        yield
    if len(asked) < len(heads):
        raise UserError(
            f"model.detector.roi_head.type={type(detector.roi_head).__name__!r} "
            "computes its box losses by itself, so that neither those of pseudo labels "
            "nor class weights can take their place: use StandardRoIHead or "
            "CascadeRoIHead."
        )


def _loss_and_target(
    loss: RoILoss,
    class_weights_C: Tensor | None,
    asked: set[int],
    stage: int,
    head: nn.Module,
    cls_score: Tensor,
    bbox_pred: Tensor,
    rois: Tensor,
    sampling_results: Sequence[SamplingResult],
    rcnn_train_cfg: ConfigDict,
) -> dict:
    """What ``BBoxHead.loss_and_target`` gives, with another loss."""
    asked.add(stage)
    targets = head.get_targets(sampling_results, rcnn_train_cfg)
    if class_weights_C is not None:
        labels, label_weights, bbox_targets, bbox_weights = targets
        factors = torch.cat([class_weights_C, class_weights_C.new_ones(1)])[labels]
        targets = (
            labels,
            scaled_rows(label_weights, factors),
            bbox_targets,
            scaled_rows(bbox_weights, factors),
        )
    candidates = Candidates(
        head, stage, cls_score, bbox_pred, rois, sampling_results, *targets
    )
    return dict(loss_bbox=loss(candidates), bbox_targets=targets)


def scaled_rows(weights: Tensor | Sequence[Tensor], factors: Tensor) -> Any:
    """Rows of one tensor, or of each of several, times their factors (P,)."""
    if not isinstance(weights, Tensor):
        return type(weights)(scaled_rows(part, factors) for part in weights)
    shape = (-1, *[1] * (weights.dim() - 1))
    return weights * factors.to(weights.dtype).reshape(shape)


def true_box_loss(candidates: Candidates) -> dict[str, Tensor]:
    """The box head's own losses, mmdet's loss dict."""
    return _head_losses(candidates, candidates.head.loss)


def pseudo_label_loss(candidates: Candidates) -> dict[str, Tensor]:
    """The box head's losses for pseudo labels, mmdet's loss dict."""
    return _head_losses(candidates, pseudo_loss_of(candidates.head))


def _head_losses(candidates: Candidates, loss: Callable[..., dict]) -> dict:
    return loss(
        candidates.cls_score,
        candidates.bbox_pred,
        candidates.rois,
        candidates.labels,
        candidates.label_weights,
        candidates.bbox_targets,
        candidates.bbox_weights,
    )


def weighted_box_losses(candidates: Candidates, weights: Tensor) -> dict[str, Tensor]:
    """The box losses for pseudo labels as the sum of weight times candidate loss.

    Args:
        candidates: the candidates.
        weights: (P,) weights that hold their normaliser.

    Returns:
        The head's box losses, and what else it reports of its boxes.
    """
    losses = pseudo_loss_of(candidates.head)(
        None,
        candidates.bbox_pred,
        candidates.rois,
        candidates.labels,
        candidates.label_weights,
        candidates.bbox_targets,
        scaled_rows(candidates.bbox_weights, weights),
        # rows, not a mean: what the head divides by does not matter here
        reduction_override="none",
    )
    return {k: v.sum() if "loss" in k else v for k, v in losses.items()}


def weighted_cls_losses(candidates: Candidates, weights: Tensor) -> dict[str, Tensor]:
    """The classification loss as the sum of weight times candidate loss.

    Args:
        candidates: the candidates.
        weights: (P,) weights that hold their normaliser.

    Returns:
        ``loss_cls`` and ``acc``, or what the head's loss calls them; nothing without
        candidates, as in mmdet.
    """
    head, cls_score = candidates.head, candidates.cls_score
    if cls_score.numel() == 0:
        return {}
    # A plain sum: some losses have a normaliser of their own and ignore avg_factor.
    loss = head.loss_cls(
        cls_score, candidates.labels, weights, reduction_override="sum"
    )
    losses = dict(loss) if isinstance(loss, dict) else {"loss_cls": loss}
    if head.custom_activation:
        return {**losses, **head.loss_cls.get_accuracy(cls_score, candidates.labels)}
    return {**losses, "acc": accuracy(cls_score, candidates.labels)}
