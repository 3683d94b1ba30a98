"""Which of the teacher's boxes are taught, and as what."""

from __future__ import annotations

import torch
from mmdet.structures import DetDataSample, SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.structures import PseudoBoxes


def class_probabilities(found: InstanceData) -> Tensor:
    """Class probabilities (N,) of detections, whatever ranked them.

    A head with a localisation quality keeps them as ``cls_scores``, because its
    ``scores`` rank by both; else ``scores`` are the probabilities.
    """
    return found.cls_scores if "cls_scores" in found else found.scores


def above_threshold(
    found: PseudoBoxes, score_thr: float | Tensor, ignore_thr: float | None = None
) -> PseudoBoxes:
    """Detections that are taught, by their class probability.

    Args:
        found: the teacher's detections.
        score_thr: one threshold, or (C,) one for each class.
        ignore_thr: detections from here up to the threshold are put into ``ignored``;
            None drops them.

    Returns:
        Detections with a probability at or above their threshold.
    """
    kept, unsure = [], []
    for one in found.instances:
        probs = class_probabilities(one)
        thr = score_thr[one.labels] if isinstance(score_thr, Tensor) else score_thr
        taught = probs >= thr
        kept.append(one[taught])
        if ignore_thr is not None:
            unsure.append(one[(probs >= ignore_thr) & ~taught])
    return PseudoBoxes(kept, None if ignore_thr is None else unsure)


def pseudo_labelled(samples: SampleList, guidance: PseudoBoxes) -> SampleList:
    """Data samples whose ground truth is the guidance.

    Args:
        samples: data samples of the strong views; not changed.
        guidance: boxes in strong-view pixels.

    Returns:
        New data samples with ``gt_instances`` and, where the guidance ignores boxes,
        ``ignored_instances``.
    """
    made = []
    for index, sample in enumerate(samples):
        one = DetDataSample(metainfo=sample.metainfo)
        pseudo = guidance.instances[index]
        one.gt_instances = InstanceData(bboxes=pseudo.bboxes, labels=pseudo.labels)
        if guidance.ignored is not None:
            unsure = guidance.ignored[index]
            one.ignored_instances = InstanceData(
                bboxes=unsure.bboxes, labels=unsure.labels
            )
        made.append(one)
    return made


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
    num_kept = sum(len(one) for one in instances)
    if num_kept:
        score = torch.cat([one.scores for one in instances]).mean()
    else:
        score = like.new_zeros(())
    values = {
        "unsup_weight": weight,
        "pseudo_per_image": num_kept / max(len(instances), 1),
        "pseudo_kept_ratio": num_kept / max(num_found, 1),
    }
    stats = {key: torch.tensor(float(value)) for key, value in values.items()}
    return {**stats, "pseudo_score": score}
