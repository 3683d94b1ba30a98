"""Clusters of the teacher's anchors: of the RPN, and of one-stage detectors."""

from __future__ import annotations

from dataclasses import replace

import torch
from mmdet.models.dense_heads import AnchorHead, RPNHead
from mmdet.structures import SampleList
from torch import Tensor

from ssod_mm.maths.boxes import clip_boxes
from ssod_mm.maths.clustering import nms_clusters
from ssod_mm.models.dense.anchor_heads import Maps, flat_maps
from ssod_mm.models.dense.clusters import Clusters, class_floors, gathered
from ssod_mm.models.dense.settings import DenseStage


def anchor_clusters(
    head: AnchorHead,
    cls_maps: Maps,
    box_maps: Maps,
    samples: SampleList,
    stage: DenseStage,
    taus_C: Tensor | None = None,
) -> Clusters:
    """Clusters of the teacher's anchors, in the weak views.

    Greedy NMS as the head itself would do it, on all candidates: by image and level
    for an RPN, by image and class for a one-stage detector.

    Args:
        head: the teacher's head.
        cls_maps: its class logits per level, (B, A * C, h, w).
        box_maps: its box outputs per level, (B, A * 4, h, w).
        samples: data samples of the weak views.
        stage: settings.
        taus_C: a threshold for each class in place of ``stage.tau``.

    Returns:
        The clusters, ``kept`` by falling score.
    """
    device = cls_maps[0].device
    logits = flat_maps(cls_maps, head.cls_out_channels)
    grids = [m.shape[-2:] for m in cls_maps]
    per_level = head.prior_generator.grid_priors(grids, device=device)
    anchors_N4 = torch.cat(per_level)
    level_N = torch.repeat_interleave(
        torch.tensor([len(level) for level in per_level])
    ).to(device)
    taus_C, floors_C = class_floors(stage, logits.shape[-1], taus_C, logits)
    images, rows, labels = (logits >= floors_C.logit()).nonzero(as_tuple=True)
    scores = logits[images, rows, labels].sigmoid()
    priors = anchors_N4[rows]
    deltas = flat_maps(box_maps, head.bbox_coder.encode_size)[images, rows]
    sizes = torch.tensor([s.img_shape[:2] for s in samples], device=device)
    boxes = clip_boxes(head.bbox_coder.decode(priors, deltas), sizes[images])

    if isinstance(head, RPNHead):
        groups = images * len(per_level) + level_N[rows]
    else:
        groups = images * head.num_classes + labels
    iou_thr = stage.iou_thr
    if iou_thr is None:
        iou_thr = head.test_cfg["nms"]["iou_threshold"]
    sides = boxes[:, 2:] - boxes[:, :2]
    counts = (sides > 0).all(1) & (scores >= taus_C[labels])
    ranks = torch.where(counts, scores, -1.0)
    kept, clusters = nms_clusters(boxes, ranks, groups, iou_thr, 0.0)
    found = gathered(
        kept, clusters, images, rows, labels, scores, priors, boxes, len(anchors_N4)
    )
    if stage.background == "all":
        return found
    metas = [sample.metainfo for sample in samples]
    _, valid = head.get_anchors(grids, metas, device=device)
    valid_BN = torch.stack([torch.cat(image) for image in valid])
    clear_BN = valid_BN & (logits < floors_C.logit()).all(-1)
    all_priors = anchors_N4.expand(len(samples), -1, -1)
    return replace(found, all_priors=all_priors, clear=clear_BN)
