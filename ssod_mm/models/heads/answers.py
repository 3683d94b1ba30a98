"""What box heads can be asked, whichever heads they are.

MMDetection's heads know class probabilities and one loss. Heads of this package may
also know a localisation quality (:class:`LocQualityHead`, :class:`LocQualityGFLHead`)
and a loss for pseudo labels that differs from that for true boxes
(:class:`PseudoLossHead`). Whoever wants to know asks here, so that no other module
looks into a head.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mmdet.models import BaseDetector
from torch import Tensor, nn

from ssod_mm.models.heads.gfl_head import LocQualityGFLHead
from ssod_mm.models.heads.quality import LocQualityHead


class PseudoLossHead:
    """Mixin: a box head whose loss for pseudo labels is not that for true boxes."""

    def unlabelled_loss(self, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Losses of candidates with pseudo labels.

        Args:
            *args: as of ``BBoxHead.loss``.
            **kwargs: as of ``BBoxHead.loss``.

        Returns:
            mmdet's loss dict.
        """
        raise NotImplementedError


def box_heads(detector: BaseDetector) -> list[nn.Module]:
    """The box heads of a two-stage detector, one per stage; none of a one-stage one."""
    head = getattr(getattr(detector, "roi_head", None), "bbox_head", None)
    if head is None:
        return []
    return list(head) if isinstance(head, nn.ModuleList) else [head]


def knows_quality(head: nn.Module) -> bool:
    """Whether a box head knows the localisation quality of its boxes."""
    return isinstance(head, (LocQualityHead, LocQualityGFLHead))


def weighs_boxes(detector: BaseDetector) -> bool:
    """Whether a one-stage detector takes weights of the boxes that it learns.

    Its detections then have a localisation quality, see :class:`LocQualityGFLHead`.
    """
    return isinstance(getattr(detector, "bbox_head", None), LocQualityGFLHead)


def pseudo_loss_of(head: nn.Module) -> Callable[..., dict[str, Tensor]]:
    """A box head's loss for candidates with pseudo labels, called as its ``loss``."""
    return head.unlabelled_loss if isinstance(head, PseudoLossHead) else head.loss


def tells_pseudo_labels(detector: BaseDetector) -> bool:
    """Whether a box head of the detector has a separate loss for pseudo labels."""
    return any(isinstance(head, PseudoLossHead) for head in box_heads(detector))


def probabilities(head: nn.Module, cls_score: Tensor) -> Tensor:
    """Class probabilities of a box head's logits, by the activation of its loss.

    Args:
        head: a box head.
        cls_score: (P, K) logits.

    Returns:
        (P, K), with a background column where the loss is a softmax one.
    """
    if head.custom_activation:
        return head.loss_cls.get_activation(cls_score)
    if getattr(head.loss_cls, "use_sigmoid", False):
        return cls_score.sigmoid()
    return cls_score.softmax(dim=-1)


def focal_parameters(head: nn.Module) -> tuple[float, float]:
    """Gamma and alpha of a head's focal loss, or 2 and 0.25 where it has none."""
    loss = head.loss_cls
    return getattr(loss, "gamma", 2.0), getattr(loss, "alpha", 0.25)
