"""Clusters of teacher and student, laid open for drawings (figures 3 and 4)."""

from __future__ import annotations

import torch
from mmdet.models.roi_heads import StandardRoIHead
from mmdet.structures import SampleList
from mmengine.structures import InstanceData

from ssod_mm.maths.ranking import cluster_ranks
from ssod_mm.models.dense.guidance import DenseGuidance
from ssod_mm.models.dense.losses import assignment_masks
from ssod_mm.models.dense.rcnn import decoded_rois, student_targets
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.features import Features


def _split(instances: InstanceData, num_images: int) -> list[InstanceData]:
    return [instances[instances.images == number] for number in range(num_images)]


@torch.no_grad()
def candidates_of_both(
    roi_head: StandardRoIHead,
    features: Features,
    samples: SampleList,
    weak: DenseGuidance,
    strong: DenseGuidance,
    stage: DenseStage,
) -> tuple[list[InstanceData], list[InstanceData]]:
    """The taught candidates as teacher and student see them.

    Args:
        roi_head: the student's.
        features: its feature maps of the strong views.
        samples: data samples of the strong views.
        weak: guidance in weak-view pixels.
        strong: the same in strong-view pixels.
        stage: settings of the R-CNN stage.

    Returns:
        Per image, in the same order of candidates, the teacher's boxes in weak-view
        and the student's in strong-view pixels, with ``scores`` of the cluster's
        class, ``labels``, ``cluster`` and ``rank`` within it, 0 for the best.
    """
    targets = student_targets(strong, stage)
    candidates = weak.stages["rcnn"]
    alive = strong.stages["rcnn"].alive[candidates.clusters]
    taught = alive & strong.proposals_seen[candidates.rows]
    rois = torch.cat(
        [strong.proposal_images[:, None].to(strong.proposals), strong.proposals], dim=1
    )
    boxes, probs, _ = decoded_rois(roi_head, features, rois, samples)
    views = []
    for bboxes, scores in (
        (candidates.boxes[taught], targets.scores),
        (boxes[targets.rows, targets.labels], probs[targets.rows, targets.labels]),
    ):
        instances = InstanceData(bboxes=bboxes, scores=scores, labels=targets.labels)
        instances.cluster = targets.clusters
        instances.rank = cluster_ranks(scores, targets.clusters, targets.num_clusters)
        instances.images = candidates.images[taught]
        views.append(_split(instances, len(samples)))
    return views[0], views[1]


@torch.no_grad()
def disagreements(
    strong: DenseGuidance, stage: DenseStage, pos_iou_thr: float, num_images: int
) -> list[InstanceData]:
    """Proposals that clusters and label assignment label differently.

    Args:
        strong: guidance in strong-view pixels.
        stage: settings of the R-CNN stage.
        pos_iou_thr: IoU from which assignment calls a proposal foreground.
        num_images: images of the batch.

    Returns:
        Per image proposals in strong-view pixels with ``overlaps``, their largest IoU
        with a kept box, and ``suppressed``: assignment makes them foreground and the
        clusters background; the others are ambiguous, the reverse.
    """
    targets = student_targets(strong, stage)
    overlaps, ambiguous, suppressed = assignment_masks(strong, targets, pos_iou_thr)
    apart = ambiguous | suppressed
    instances = InstanceData(bboxes=strong.proposals[apart], overlaps=overlaps[apart])
    instances.suppressed = suppressed[apart]
    instances.images = strong.proposal_images[apart]
    return _split(instances, num_images)
