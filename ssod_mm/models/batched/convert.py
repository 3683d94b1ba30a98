"""A built mmdet detector gets batched heads, in place."""

from __future__ import annotations

from mmdet.models.dense_heads import RetinaHead, RPNHead
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.models.roi_heads.bbox_heads import (
    ConvFCBBoxHead,
    Shared2FCBBoxHead,
    Shared4Conv1FCBBoxHead,
)
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import nn

from ssod_mm.models.batched.anchor_heads import (
    BatchedRetinaHead,
    BatchedRPNHead,
    fits_anchor_head,
)
from ssod_mm.models.batched.bbox_heads import (
    BatchedConvFCBBoxHead,
    BatchedGaussianBBoxHead,
    BatchedIntervalBBoxHead,
    BatchedShared2FCBBoxHead,
    BatchedShared4Conv1FCBBoxHead,
    fits_bbox_head,
)
from ssod_mm.models.batched.roi_heads import (
    BatchedRoIExtractor,
    BatchedStandardRoIHead,
    fits_roi_head,
)
from ssod_mm.models.batched.rules import DeviceDeltaCoder
from ssod_mm.models.heads import GaussianBBoxHead, IntervalBBoxHead

_ANCHOR_HEADS = {RPNHead: BatchedRPNHead, RetinaHead: BatchedRetinaHead}
_BBOX_HEADS = {
    ConvFCBBoxHead: BatchedConvFCBBoxHead,
    Shared2FCBBoxHead: BatchedShared2FCBBoxHead,
    Shared4Conv1FCBBoxHead: BatchedShared4Conv1FCBBoxHead,
    GaussianBBoxHead: BatchedGaussianBBoxHead,
    IntervalBBoxHead: BatchedIntervalBBoxHead,
}


def batch_heads(detector: nn.Module) -> list[str]:
    """Let the heads of a detector treat all images of a batch at once.

    Losses, gradients, proposals and detections are those of mmdet's heads, given the
    same random keys; parameters keep their names, so that checkpoints fit both. Heads,
    assigners, samplers, coders or losses other than the common ones stay as they are,
    subclasses included: what is not known cannot be trusted to be equal.

    Args:
        detector: a built detector; its heads change their classes in place.

    Returns:
        Names of the modules that were changed, for a log or a test.
    """
    changed = []
    for name, module in detector.named_modules():
        batched = _batched_class(module)
        if batched is None:
            continue
        module.__class__ = batched
        changed.append(name)
        if type(getattr(module, "bbox_coder", None)) is DeltaXYWHBBoxCoder:
            module.bbox_coder.__class__ = DeviceDeltaCoder
    return changed


def _batched_class(module: nn.Module) -> type | None:
    kind = type(module)
    if kind in _ANCHOR_HEADS and fits_anchor_head(module):
        return _ANCHOR_HEADS[kind]
    if kind in _BBOX_HEADS and fits_bbox_head(module):
        return _BBOX_HEADS[kind]
    if kind is SingleRoIExtractor:
        return BatchedRoIExtractor
    if kind is StandardRoIHead and fits_roi_head(module):
        inner = type(module.bbox_head)
        if inner in _BBOX_HEADS and fits_bbox_head(module.bbox_head):
            return BatchedStandardRoIHead
    return None
