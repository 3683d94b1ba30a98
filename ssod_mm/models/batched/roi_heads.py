"""The RoI head that assigns, samples and learns for all images of a batch at once.

The classes have the names of those that they stand for, as configs and messages do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.models import roi_heads
from mmdet.models.utils import unpack_gt_instances
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.maths.assignment import assign_max_iou, sample_by_keys
from ssod_mm.models.batched import proposals
from ssod_mm.models.batched.padding import (
    NO_OBJECT,
    PaddedBoxes,
    constant,
    padded_boxes,
    padded_ignored,
)
from ssod_mm.models.batched.parts import ROI_PARTS
from ssod_mm.models.batched.proposals import PaddedProposals
from ssod_mm.models.batched.roi_levels import (
    RoILevels,
    SingleRoIExtractor,
    known_levels,
)
from ssod_mm.models.batched.rules import assign_rule, sample_rule


@dataclass(frozen=True)
class ImageSampling:
    """What was sampled in one image; the names are those of mmdet's result."""

    pos_priors: Tensor
    neg_priors: Tensor
    pos_assigned_gt_inds: Tensor
    pos_gt_bboxes: Tensor
    pos_gt_labels: Tensor

    @property
    def priors(self) -> Tensor:
        """Foreground and then background candidates (n, 4)."""
        return torch.cat([self.pos_priors, self.neg_priors])


class BatchedSampling(Sequence):
    """Sampled candidates of a batch, one image after the other.

    Foreground candidates of an image stand before its background ones, each by rising
    place, as with mmdet. Read as a list it gives each image's.

    Args:
        images: (P,) image of each candidate.
        rois: (P, 5) the candidates, image and xyxy.
        foreground: (P,) whether each is.
        assigned: (P,) place of its box in its image; any number for background.
        boxes: (P, 4) its box.
        labels: (P,) the class of its box.
        counts: numbers of foreground and of background candidates of each image.
        part: number of the part of the batch that these are.
        targets: what ``get_targets`` gives of them, where it is known already.
        levels: of the candidates and of the RoIs behind them, where they are known.
    """

    def __init__(
        self,
        images: Tensor,
        rois: Tensor,
        foreground: Tensor,
        assigned: Tensor,
        boxes: Tensor,
        labels: Tensor,
        counts: Sequence[tuple[int, int]],
        part: int = 0,
        targets: tuple[Tensor, ...] | None = None,
        levels: RoILevels | None = None,
    ) -> None:
        self.images = images
        self.rois = rois
        self.foreground = foreground
        self.assigned = assigned
        self.boxes = boxes
        self.labels = labels
        self.counts = counts
        self.part = part
        self.targets = targets
        self.levels = levels

    def in_parts(
        self, parts: Sequence[int], targets: tuple[Tensor, ...]
    ) -> list[BatchedSampling]:
        """What was sampled in each part of the batch, whose images are counted from 0.

        Args:
            parts: numbers of images of the parts.
            targets: of all candidates.
        """
        sampled, start = [], 0
        for part, images in enumerate(parts):
            counts = self.counts[start : start + images]
            first = sum(map(sum, self.counts[:start]))
            rows = slice(first, first + sum(map(sum, counts)))
            image_P, rois = self.images[rows], self.rois[rows]
            if start:
                image_P = image_P - start
                rois = torch.cat([image_P[:, None], rois[:, 1:]], dim=1)
            sampled.append(
                BatchedSampling(
                    image_P,
                    rois,
                    self.foreground[rows],
                    self.assigned[rows],
                    self.boxes[rows],
                    self.labels[rows],
                    counts,
                    part,
                    tuple(target[rows] for target in targets),
                )
            )
            start += images
        return sampled

    @property
    def priors(self) -> Tensor:
        """(P, 4) the candidates."""
        return self.rois[:, 1:]

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, image: int) -> ImageSampling:
        start = sum(sum(pair) for pair in self.counts[:image])
        num_fg, num_bg = self.counts[image]
        fg = slice(start, start + num_fg)
        return ImageSampling(
            pos_priors=self.priors[fg],
            neg_priors=self.priors[fg.stop : fg.stop + num_bg],
            pos_assigned_gt_inds=self.assigned[fg],
            pos_gt_bboxes=self.boxes[fg],
            pos_gt_labels=self.labels[fg],
        )


def fits_roi_head(head: roi_heads.StandardRoIHead) -> bool:
    """Whether the batched form knows the head's assigner and sampler."""
    if head.with_mask:
        return False
    if not head.train_cfg:
        return True
    known = assign_rule(head.bbox_assigner), sample_rule(head.bbox_sampler)
    return None not in known


class StandardRoIHead(roi_heads.StandardRoIHead):
    """``StandardRoIHead`` whose candidates are sampled for all images at once.

    Its box head must take :class:`BatchedSampling`. The host learns the numbers of the
    sampled candidates and of those in each level in one fetch, so that everything
    behind works without padding.

    Attributes:
        parts: numbers of images of the parts of the batch that have losses of their
            own, see :func:`~ssod_mm.models.batched.parts.losses_of_parts`; None: the
            batch is one part.
        rois_behind: (Q, 5) RoIs that the head will see in one pass with the sampled
            ones, behind them; their levels come by the same fetch. None: no others.
    """

    parts: tuple[int, ...] | None = None
    rois_behind: Tensor | None = None

    def sampling_keys(self, size: tuple[int, int], device: torch.device) -> Tensor:
        """Uniform keys (B, N), by which candidates are sampled."""
        return torch.rand(size, device=device)

    def loss(
        self,
        x: Sequence[Tensor],
        rpn_results_list: Sequence[InstanceData],
        batch_data_samples: SampleList,
    ) -> dict[str, Tensor]:
        """Losses of a batch, see mmdet's method.

        Args:
            x: feature maps.
            rpn_results_list: proposals of each image, padded ones or mmdet's list.
            batch_data_samples: data samples with ``gt_instances``.

        Returns:
            The box head's losses; under ``ROI_PARTS`` a list of them where the batch
            has parts.
        """
        truth, ignored, _ = unpack_gt_instances(batch_data_samples)
        sampling = self.sample(rpn_results_list, truth, ignored)
        rois = sampling.rois
        with known_levels(self.bbox_roi_extractor, sampling.levels):
            outputs = self._bbox_forward(x, rois)
        logits, boxes = outputs["cls_score"], outputs["bbox_pred"]
        if self.parts is None:
            return self._box_losses(logits, boxes, rois, sampling)
        targets = self.bbox_head.get_targets(sampling, self.train_cfg)
        samplings = sampling.in_parts(self.parts, targets)
        rows = [len(part.images) for part in samplings]
        columns = (logits.split(rows), boxes.split(rows), samplings)
        losses = [
            self._box_losses(logits, boxes, part.rois, part)
            for logits, boxes, part in zip(*columns, strict=True)
        ]
        return {ROI_PARTS: losses}

    def _box_losses(
        self, logits: Tensor, boxes: Tensor, rois: Tensor, sampling: BatchedSampling
    ) -> dict[str, Tensor]:
        return self.bbox_head.loss_and_target(
            cls_score=logits,
            bbox_pred=boxes,
            rois=rois,
            sampling_results=sampling,
            rcnn_train_cfg=self.train_cfg,
        )["loss_bbox"]

    def predict_bbox(
        self,
        x: Sequence[Tensor],
        batch_img_metas: Sequence[dict],
        rpn_results_list: Sequence[InstanceData],
        rcnn_test_cfg: Any,
        rescale: bool = False,
    ) -> list[InstanceData]:
        """Detections of each image, see mmdet's method.

        On CUDA the head sees as many RoIs of each image, some of which may stand for
        nothing, so that the host need not wait for the numbers of proposals.

        Args:
            x: feature maps.
            batch_img_metas: meta information of each image.
            rpn_results_list: proposals of each image, padded ones or mmdet's list.
            rcnn_test_cfg: config of the detections; None gives the raw candidates.
            rescale: whether boxes are wanted in the original images.
        """
        given, head = rpn_results_list, self.bbox_head
        padded = isinstance(given, PaddedProposals) and head.with_reg
        if (
            not padded
            or not proposals.in_one_call(given.boxes)
            or rcnn_test_cfg is None
            or rcnn_test_cfg.score_thr < 0
        ):
            return super().predict_bbox(
                x, batch_img_metas, given, rcnn_test_cfg, rescale
            )
        num_images, size = given.real.shape
        images = torch.arange(num_images, device=given.boxes.device)
        images = images.repeat_interleave(size)[:, None].to(given.boxes)
        rois = torch.cat([images, given.boxes.flatten(0, 1)], dim=1)
        outputs = self._bbox_forward(x, rois)
        logits = outputs["cls_score"]
        no_class = [NO_OBJECT] * head.num_classes
        no_class += [0.0] * (logits.shape[1] - head.num_classes)
        nothing = constant(tuple(no_class), logits.device, logits.dtype)
        logits = torch.where(given.real.flatten()[:, None], logits, nothing)
        return head.predict_by_feat(
            rois=rois.split(size),
            cls_scores=logits.split(size),
            bbox_preds=outputs["bbox_pred"].split(size),
            batch_img_metas=batch_img_metas,
            rcnn_test_cfg=rcnn_test_cfg,
            rescale=rescale,
        )

    @torch.no_grad()
    def sample(
        self,
        rpn_results_list: Sequence[InstanceData],
        batch_gt_instances: Sequence[InstanceData],
        batch_gt_instances_ignore: Sequence[InstanceData | None],
    ) -> BatchedSampling:
        """Assign and sample the proposals of all images.

        Args:
            rpn_results_list: proposals of each image.
            batch_gt_instances: boxes and labels of each image.
            batch_gt_instances_ignore: ignored boxes of each image.
        """
        priors, real = _padded(rpn_results_list)
        truth = padded_boxes(batch_gt_instances, priors)
        assigned = assign_max_iou(
            priors,
            truth.boxes,
            truth.real,
            assign_rule(self.bbox_assigner),
            *padded_ignored(batch_gt_instances_ignore, priors),
            real,
        )
        if self.bbox_sampler.add_gt_as_proposals:
            numbers = torch.arange(1, truth.real.shape[1] + 1, device=priors.device)
            priors = torch.cat([truth.boxes, priors], dim=1)
            themselves = torch.where(truth.real, numbers, -1)
            assigned = torch.cat([themselves, assigned], dim=1)
        keys = self.sampling_keys(tuple(assigned.shape), priors.device)
        rows, foreground, background = sample_by_keys(
            assigned, keys, sample_rule(self.bbox_sampler)
        )
        extractor = self.bbox_roi_extractor
        if not isinstance(extractor, SingleRoIExtractor) or extractor.num_inputs == 1:
            extractor = None
        return _without_gaps(
            priors,
            truth,
            assigned,
            rows,
            foreground,
            background,
            extractor,
            self.rois_behind,
        )


def _padded(proposals: Sequence[InstanceData]) -> tuple[Tensor, Tensor]:
    """Proposals (B, N, 4) of a batch and which are real (B, N)."""
    if isinstance(proposals, PaddedProposals):
        return proposals.boxes.float(), proposals.real
    boxes = [InstanceData(bboxes=image.bboxes) for image in proposals]
    for image in boxes:
        image.labels = image.bboxes.new_zeros(len(image.bboxes), dtype=torch.int64)
    padded = padded_boxes(boxes, boxes[0].bboxes)
    return padded.boxes, padded.real


def _without_gaps(
    priors_BN4: Tensor,
    truth: PaddedBoxes,
    assigned_BN: Tensor,
    rows_BS: Tensor,
    foreground_BS: Tensor,
    background_BS: Tensor,
    extractor: SingleRoIExtractor | None,
    rois_behind: Tensor | None,
) -> BatchedSampling:
    """The sampled candidates of all images, one after the other."""
    images, size = rows_BS.shape
    device = rows_BS.device
    # Flat places in (B, S); those that stand for nothing go to the end and are cut.
    place_P = torch.arange(images * size, device=device)
    image_P = place_P // max(size, 1)
    row_P = rows_BS.flatten()
    rois_P5 = torch.cat([image_P[:, None], priors_BN4[image_P, row_P]], dim=1)
    is_empty_P = ~(foreground_BS | background_BS).flatten()
    sums = [foreground_BS.sum(1), background_BS.sum(1)]
    if extractor is not None:
        both, none = rois_P5, is_empty_P
        if rois_behind is not None:
            both = torch.cat([rois_P5, rois_behind])
            none = torch.cat([none, none.new_zeros(len(rois_behind))])
        levels = extractor.levels(both)
        sums.append(extractor.counts(levels.masked_fill(none, -1)))
    sums = torch.cat(sums).tolist()
    counts = list(zip(sums[:images], sums[images : 2 * images], strict=True))
    total = sum(map(sum, counts))
    if total < images * size:
        place_P = is_empty_P.to(torch.uint8).argsort(stable=True)[:total]
        image_P, row_P = image_P[place_P], row_P[place_P]
        rois_P5 = rois_P5[place_P]
        if extractor is not None:
            levels = torch.cat([levels[place_P], levels[images * size :]])
    known = None
    if extractor is not None:
        known = RoILevels(levels, sums[2 * images :])
    which_P = (assigned_BN[image_P, row_P] - 1).clamp(min=0)
    return BatchedSampling(
        images=image_P,
        rois=rois_P5,
        foreground=foreground_BS.flatten()[place_P],
        assigned=which_P,
        boxes=truth.boxes[image_P, which_P],
        labels=truth.labels[image_P, which_P],
        counts=counts,
        levels=known,
    )
