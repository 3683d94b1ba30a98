"""Another loss in place of an RoI head's own, for the time of a context.

MMDetection's RoI heads assign, sample and forward the candidates and then ask the box
head for ``loss_and_target``. Answering that call from outside leaves everything before
it as it is: standard and cascade heads, one forward pass, mask heads, any sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial

from mmdet.models import BaseDetector
from mmdet.models.losses import accuracy
from mmdet.models.task_modules.samplers import SamplingResult
from mmengine.config import ConfigDict
from torch import Tensor, nn

from ssod_mm.models.class_balance import box_heads


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
def replaced_roi_loss(detector: BaseDetector, loss: RoILoss) -> Iterator[None]:
    """Let the box heads of a detector compute ``loss`` in place of their own.

    Weights that another context puts into the heads' targets are kept.

    Args:
        detector: a detector with a standard or cascade RoI head.
        loss: from the candidates of one stage to a loss dict.

    Raises:
        ValueError: the RoI head did not ask a box head for its loss; names the config
            key.
    """
    heads = box_heads(detector)
    asked: set[int] = set()
    for stage, head in enumerate(heads):
        head.loss_and_target = partial(_loss_and_target, loss, asked, head, stage)
    try:
        yield
    finally:
        for head in heads:
            del head.loss_and_target
    if len(asked) < len(heads):
        raise ValueError(
            f"model.detector.roi_head.type={type(detector.roi_head).__name__!r} "
            "computes its box losses by itself, so that those of pseudo labels cannot "
            "take their place: use StandardRoIHead or CascadeRoIHead."
        )


def pseudo_label_losses(detector: BaseDetector) -> AbstractContextManager[None]:
    """Let heads that tell pseudo labels from true boxes compute the former's loss.

    Args:
        detector: a detector of any kind; one without such heads stays as it is.
    """
    if not any(hasattr(head, "unlabelled_loss") for head in box_heads(detector)):
        return nullcontext()
    return replaced_roi_loss(detector, lambda made: own_losses(made, made.bbox_weights))


def _loss_and_target(
    loss: RoILoss,
    asked: set[int],
    head: nn.Module,
    stage: int,
    cls_score: Tensor,
    bbox_pred: Tensor,
    rois: Tensor,
    sampling_results: Sequence[SamplingResult],
    rcnn_train_cfg: ConfigDict,
) -> dict:
    """What ``BBoxHead.loss_and_target`` gives, with another loss."""
    asked.add(stage)
    targets = head.get_targets(sampling_results, rcnn_train_cfg)
    candidates = Candidates(
        head, stage, cls_score, bbox_pred, rois, sampling_results, *targets
    )
    return dict(loss_bbox=loss(candidates), bbox_targets=targets)


def own_losses(
    candidates: Candidates, bbox_weights: Tensor, with_cls: bool = True
) -> dict[str, Tensor]:
    """The box head's own losses for pseudo labels.

    Args:
        candidates: the candidates.
        bbox_weights: weights in place of ``candidates.bbox_weights``.
        with_cls: whether the classification loss is wanted too.

    Returns:
        mmdet's loss dict; of a head that tells pseudo labels from true boxes
        (``unlabelled_loss``) the former.
    """
    head = candidates.head
    loss = getattr(head, "unlabelled_loss", head.loss)
    return loss(
        candidates.cls_score if with_cls else None,
        candidates.bbox_pred,
        candidates.rois,
        candidates.labels,
        candidates.label_weights,
        candidates.bbox_targets,
        bbox_weights,
    )


def box_loss_denominator(candidates: Candidates) -> Tensor | int:
    """By what the box head divides its sum over pseudo-labelled candidates and deltas.

    The number of candidates in MMDetection; a head that says ``loss_norm =
    "foreground"`` takes the mean over the foreground candidates and their four sides.
    """
    head = candidates.head
    if hasattr(head, "unlabelled_loss"):
        return max(len(candidates.labels), 1)
    if getattr(head, "loss_norm", "sampled") == "foreground":
        return 4 * candidates.foreground.sum().clamp(min=1)
    return max(len(candidates.labels), 1)


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
