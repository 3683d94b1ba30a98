"""A built mmdet detector gets batched heads, in place."""

from __future__ import annotations

from mmdet.models import dense_heads, roi_heads
from mmdet.models.roi_heads import bbox_heads, roi_extractors
from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from torch import nn

from ssod_mm.models import heads
from ssod_mm.models.batched import anchor_heads as batched_anchor
from ssod_mm.models.batched import bbox_heads as batched_bbox
from ssod_mm.models.batched import roi_heads as batched_roi
from ssod_mm.models.batched.roi_levels import SingleRoIExtractor
from ssod_mm.models.batched.rules import DeviceDeltaCoder

_ANCHOR_HEADS = {
    dense_heads.RPNHead: batched_anchor.RPNHead,
    dense_heads.RetinaHead: batched_anchor.RetinaHead,
}
_BBOX_HEADS = {
    bbox_heads.ConvFCBBoxHead: batched_bbox.ConvFCBBoxHead,
    bbox_heads.Shared2FCBBoxHead: batched_bbox.Shared2FCBBoxHead,
    bbox_heads.Shared4Conv1FCBBoxHead: batched_bbox.Shared4Conv1FCBBoxHead,
    heads.GaussianBBoxHead: batched_bbox.GaussianBBoxHead,
    heads.IntervalBBoxHead: batched_bbox.IntervalBBoxHead,
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
    if kind in _ANCHOR_HEADS and batched_anchor.fits_anchor_head(module):
        return _ANCHOR_HEADS[kind]
    if kind in _BBOX_HEADS and batched_bbox.fits_bbox_head(module):
        return _BBOX_HEADS[kind]
    if kind is roi_extractors.SingleRoIExtractor:
        return SingleRoIExtractor
    if kind is roi_heads.StandardRoIHead and batched_roi.fits_roi_head(module):
        inner = module.bbox_head  # not changed yet: it comes later
        if type(inner) in _BBOX_HEADS and batched_bbox.fits_bbox_head(inner):
            return batched_roi.StandardRoIHead
    return None
