"""Which of the teacher's boxes are taught, and as what, by label assignment."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models import BaseDetector
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import DetDataSample, SampleList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ssod_mm.models.features import Features
from ssod_mm.models.graph import anchor_empty_losses
from ssod_mm.structures import PseudoBoxes, class_probabilities, where_true

Maps = Sequence[Sequence[Tensor]]


def detections(detected: InstanceData) -> InstanceData:
    """Detections in float32 that surely have ``cls_scores`` and ``loc_scores``.

    A head with a localisation quality ranks by both. MMDetection answers a batch
    without any proposal before it asks the box head, and other heads know no quality:
    there the class probability is ``scores`` and the quality is 1.

    Args:
        detected: detections of one image with ``scores``; changed in place.

    Returns:
        The same object.
    """
    detected.cls_scores = class_probabilities(detected).clone()
    if "loc_scores" not in detected:
        detected.loc_scores = torch.ones_like(detected.scores)
    for key in ("bboxes", "scores", "cls_scores", "loc_scores"):
        detected[key] = detected[key].float()
    return detected


def above_threshold(
    detected: PseudoBoxes, score_thr: float | Tensor, ignore_thr: float | None = None
) -> PseudoBoxes:
    """Detections that are taught, by their class probability.

    Args:
        detected: the teacher's detections, with ``cls_scores``.
        score_thr: one threshold, or (C,) one for each class.
        ignore_thr: detections from here up to the threshold are put into ``ignored``;
            None drops them.

    Returns:
        Detections with a probability at or above their threshold.
    """
    boxes = InstanceData.cat(detected.instances)
    thr = score_thr[boxes.labels] if isinstance(score_thr, Tensor) else score_thr
    masks = [boxes.cls_scores >= thr]
    if ignore_thr is not None:
        masks.append((boxes.cls_scores >= ignore_thr) & ~masks[0])
    counts = [len(image) for image in detected.instances]
    return PseudoBoxes(*where_true(boxes, counts, masks))


def pseudo_labelled(samples: SampleList, guidance: PseudoBoxes) -> SampleList:
    """Data samples whose ground truth is the guidance.

    Args:
        samples: data samples of the strong views; not changed.
        guidance: boxes in strong-view pixels.

    Returns:
        New data samples with ``gt_instances`` and, where the guidance ignores boxes,
        ``ignored_instances``.
    """
    labelled = []
    for index, sample in enumerate(samples):
        copied = DetDataSample(metainfo=sample.metainfo)
        pseudo = guidance.instances[index]
        copied.gt_instances = InstanceData(bboxes=pseudo.bboxes, labels=pseudo.labels)
        if guidance.ignored is not None:
            unsure = guidance.ignored[index]
            copied.ignored_instances = InstanceData(
                bboxes=unsure.bboxes, labels=unsure.labels
            )
        labelled.append(copied)
    return labelled


def teaching_stats(
    weight: float, labels: PseudoBoxes | None, num_found: int, like: Tensor
) -> dict[str, Tensor]:
    """Figures of one step for the log, as tensors so that no value is fetched here.

    Args:
        weight: weight of the unlabelled loss.
        labels: what was taught; None for nothing.
        num_found: the teacher's detections.
        like: a tensor on the device.

    Returns:
        ``unsup_weight``, ``pseudo_per_image``, ``pseudo_kept_ratio``, ``pseudo_score``.
    """
    instances = labels.instances if labels else []
    num_kept = labels.num_boxes if labels else 0
    if num_kept:
        score = torch.cat([boxes.scores for boxes in instances]).mean()
    else:
        score = like.new_zeros(())
    values = {
        "unsup_weight": weight,
        "pseudo_per_image": num_kept / max(len(instances), 1),
        "pseudo_kept_ratio": num_kept / max(num_found, 1),
    }
    stats = {key: torch.tensor(float(value)) for key, value in values.items()}
    return {**stats, "pseudo_score": score}


def _classless(instances: list[InstanceData]) -> list[InstanceData]:
    """The boxes as an RPN sees them: all of class 0."""
    return [
        InstanceData(bboxes=boxes.bboxes, labels=torch.zeros_like(boxes.labels))
        for boxes in instances
    ]


def assigned_anchor_losses(
    head: nn.Module, is_rpn: bool, maps: Maps, samples: SampleList
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
