"""Stages that learn from pseudo boxes by label assignment, beside dense ones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models import BaseDetector
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.models.features import Features
from ssod_mm.models.graph import anchor_empty_losses

Maps = Sequence[Sequence[Tensor]]


def _classless(instances: list[InstanceData]) -> list[InstanceData]:
    """The boxes as an RPN sees them: all of class 0."""
    made = []
    for one in instances:
        bare = InstanceData(bboxes=one.bboxes)
        bare.labels = torch.zeros_like(one.labels)
        made.append(bare)
    return made


def assigned_anchor_losses(
    head: torch.nn.Module, is_rpn: bool, maps: Maps, samples: SampleList
) -> dict:
    """Losses of an RPN or a one-stage head by assignment, from maps already computed.

    Args:
        head: the student's.
        is_rpn: whether its classes are to be forgotten.
        maps: what the head gave for the strong views.
        samples: data samples with the pseudo labels as ground truth.

    Returns:
        mmdet's loss dict.
    """
    boxes, ignored, metas = unpack_gt_instances(samples)
    if is_rpn:
        boxes = _classless(boxes)
    return head.loss_by_feat(*maps, boxes, metas, batch_gt_instances_ignore=ignored)


def assigned_roi_losses(
    detector: BaseDetector, features: Features, maps: Maps, samples: SampleList
) -> dict:
    """Losses of the RoI head by assignment, on the student's own proposals.

    Args:
        detector: the student.
        features: its feature maps of the strong views.
        maps: what its RPN gave for them.
        samples: data samples with the pseudo labels as ground truth.

    Returns:
        mmdet's loss dict, complete also where no RoI was sampled.
    """
    proposals = detector.rpn_head.predict_by_feat(
        *maps,
        batch_img_metas=[sample.metainfo for sample in samples],
        cfg=detector.train_cfg.get("rpn_proposal", detector.test_cfg.rpn),
        rescale=False,
    )
    losses = detector.roi_head.loss(features, proposals, samples)
    return anchor_empty_losses(losses, detector)
