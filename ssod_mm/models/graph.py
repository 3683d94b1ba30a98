"""Losses that stay in the graph when there is nothing to learn from."""

from __future__ import annotations

from mmdet.models import BaseDetector
from mmdet.models.dense_heads import RetinaHead, RPNHead
from torch import Tensor, nn

from ssod_mm.errors import UserError
from ssod_mm.models.features import anchor_head

# Their losses divide by numbers of this process alone.
_LOCAL_HEADS = (RPNHead, RetinaHead)


def anchor_empty_losses(losses: dict, detector: BaseDetector) -> dict:
    """Add the RoI losses that mmdet leaves out when no RoI was sampled.

    mmdet's box heads return no ``loss_cls`` without RoIs. The key is missed by later
    code and, worse, the head's parameters miss the graph, which stops distributed
    training. The added loss is zero times every trainable parameter.

    Args:
        losses: mmdet's loss dict.
        detector: the detector that gave it.

    Returns:
        The dict, completed where needed.
    """
    roi_head = getattr(detector, "roi_head", None)
    if roi_head is None or any(
        key.endswith("loss_cls") and "rpn" not in key for key in losses
    ):
        return losses
    return {**losses, "loss_cls": zero_through_parameters(roi_head)}


def zero_through_parameters(module: nn.Module) -> Tensor:
    """A zero whose gradient reaches every trainable parameter of ``module``."""
    parts = [p.sum() for p in module.parameters() if p.requires_grad]
    if not parts:
        raise UserError(f"{type(module).__name__} has no trainable parameter.")
    return sum(parts) * 0.0


def averages_over_processes(detector: BaseDetector) -> bool:
    """Whether the detector's losses may wait for those of the other processes.

    Most of mmdet's dense heads (FCOS, ATSS, the DETRs) divide by what ``reduce_mean``
    gives, so every process has to compute the same losses. The RPN of two-stage
    detectors and RetinaNet's head are known not to; any other head counts as one that
    does.
    """
    return not isinstance(anchor_head(detector), _LOCAL_HEADS)
