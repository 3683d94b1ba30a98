"""DTG: the student learns from the teacher's NMS instead of from pseudo boxes.

DTG-SSOD (NeurIPS 2022). The teacher's candidates are clustered by its own NMS (inverse
NMS clustering); each of the student's corresponding candidates learns the class and
the kept box of its cluster, and the clusters' score distributions are matched (rank
matching). :mod:`ssod_mm.models.dense` has the two halves of each stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import OptConfigType
from mmengine.structures import InstanceData
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.models.batched import proposals as batched_proposals
from ssod_mm.models.batched.padding import image_numbers
from ssod_mm.models.batched.proposals import PaddedProposals
from ssod_mm.models.dense.anchors import (
    anchor_candidates,
    anchor_losses,
    anchor_matches,
    check_anchor_head,
)
from ssod_mm.models.dense.clusters import Clusters, clusters_of
from ssod_mm.models.dense.guidance import DenseGuidance
from ssod_mm.models.dense.inspection import candidates_of_both, disagreements
from ssod_mm.models.dense.losses import Targets, cluster_targets, reduced_counts
from ssod_mm.models.dense.rcnn import (
    Proposals,
    check_roi_head,
    proposal_matches,
    rcnn_losses,
    teacher_candidates,
)
from ssod_mm.models.dense.settings import stage_settings
from ssod_mm.models.detectors.mean_teacher import MeanTeacher
from ssod_mm.models.features import Features, anchor_head
from ssod_mm.models.graph import zero_through_parameters
from ssod_mm.models.pseudo_labels import (
    above_threshold,
    assigned_anchor_losses,
    assigned_roi_losses,
    detections,
    pseudo_labelled,
)
from ssod_mm.models.roi_losses import roi_losses
from ssod_mm.structures import GuidedLosses, PseudoBoxes, split_instances

# Names of the losses of a stage, as mmdet's heads call them.
_NAMES = {
    "rpn": {"cls": "loss_rpn_cls", "reg": "loss_rpn_bbox", "rank": "loss_rpn_rank"},
    "rcnn": {"cls": "loss_cls", "reg": "loss_bbox", "rank": "loss_rank"},
    "head": {"cls": "loss_cls", "reg": "loss_bbox", "rank": "loss_rank"},
}


@MODELS.register_module()
class DenseGuidanceTeacher(MeanTeacher):
    """Dense teacher guidance for two-stage detectors and anchor-based one-stage ones.

    As pseudo labels, for the log, for drawings and for ``sparse`` stages, it reports
    what the teacher's NMS keeps.

    Args:
        *args: as in ``MeanTeacher``.
        dense: settings of each stage, ``rpn`` and ``rcnn`` or for a one-stage detector
            ``head``: dicts with the keys of :class:`DenseStage`.
        class_balance: as in ``MeanTeacher``; its thresholds take the place of the last
            stage's ``tau``, from which they set out, and its weights multiply the
            losses of the R-CNN stage's clusters.
        **kwargs: as in ``MeanTeacher``.

    Raises:
        ValueError: for settings or a detector that do not fit; names the config key.
    """

    groups_by_size = False

    def __init__(
        self,
        *args: Any,
        dense: OptConfigType = None,
        class_balance: OptConfigType = None,
        **kwargs: Any,
    ) -> None:
        if class_balance is not None:
            # Its thresholds take tau's place, so they set out from there.
            last = (dense or {}).get("rcnn") or (dense or {}).get("head") or {}
            class_balance = {"tau": last.get("tau") or 0.45, **class_balance}
        super().__init__(*args, class_balance=class_balance, **kwargs)
        self.mixing.refuse(
            ["pseudo_mixup"],
            "DTG teaches candidates of one view by those of another, one to one, and "
            "under mixup the background of one view is full of another's objects (take "
            "pseudo_mosaic)",
        )
        student = self.student
        self.stages = stage_settings(dense, student, self.settings.score_thr)
        self.two_stage = "rcnn" in self.stages
        if self.two_stage:
            check_roi_head(student.roi_head, self.stages["rcnn"])
        for name in set(self.stages) - {"rcnn"}:
            if name == "head" or self.stages[name].mode == "dense":
                check_anchor_head(anchor_head(student), f"model.dense.{name}")

    def teacher_guidance(self, inputs: Tensor, samples: SampleList) -> PseudoBoxes:
        """Clusters of the teacher's candidates; called under no_grad.

        Args:
            inputs: weak views (B, 3, H, W).
            samples: their data samples; not changed.

        Returns:
            The kept boxes in weak-view pixels, and as ``extra`` the clusters of each
            dense stage and the proposals.
        """
        features = self.teacher.extract_feat(inputs)
        head = anchor_head(self.teacher)
        maps = tuple([m.float() for m in level_maps] for level_maps in head(features))
        taus = self.class_balance and self.class_balance.thresholds()
        candidates, background, quality_PC = {}, {}, None
        for name, stage in self.stages.items():
            if name == "head" or (name == "rpn" and stage.mode == "dense"):
                of_classes = taus if name == "head" else None
                asked = (head, *maps, samples, stage, of_classes)
                candidates[name], background[name] = anchor_candidates(*asked)
        proposals = self._proposals(maps, samples) if self.two_stage else None
        if self.two_stage:
            candidates["rcnn"], quality_PC = teacher_candidates(
                self.teacher.roi_head,
                features,
                proposals,
                samples,
                self.stages["rcnn"],
                taus,
            )
        clusters = clusters_of(candidates, len(samples))
        for name, about in background.items():
            clusters[name] = replace(clusters[name], **about)
        boxes = proposals and proposals.boxes
        images = proposals and proposals.images
        dense = DenseGuidance(clusters, boxes, images)
        kept = _kept_boxes(dense.last, quality_PC)
        # All that NMS kept: tau has selected already.
        return PseudoBoxes(kept, extra=dense, chosen=True)

    def _proposals(
        self, maps: Sequence[list[Tensor]], samples: SampleList
    ) -> Proposals:
        """The teacher's proposals, as many as the student trains on.

        On CUDA images have equally many, some of which may be none, so that the host
        need not wait for their numbers.
        """
        teacher = self.teacher
        results = teacher.rpn_head.predict_by_feat(
            *maps,
            batch_img_metas=[sample.metainfo for sample in samples],
            cfg=teacher.train_cfg.get("rpn_proposal", teacher.test_cfg.rpn),
            rescale=False,
        )
        limit = self.stages["rcnn"].max_proposals
        padded, real = isinstance(results, PaddedProposals), None
        if padded and batched_proposals.in_one_call(results.boxes):
            real_BL = results.real[:, :limit]
            real = real_BL.flatten()
            boxes = [*(results.boxes[:, :limit].float() * real_BL[..., None])]
        else:
            boxes = [result.bboxes[:limit].float() for result in results]
        counts = [len(of_image) for of_image in boxes]
        images = image_numbers(counts, boxes[0].device)
        return Proposals(torch.cat(boxes), images, counts, real)

    def guided_loss(
        self, features: Features, samples: SampleList, guidance: PseudoBoxes
    ) -> list[GuidedLosses]:
        """Student's losses on strong views, and statistics, stage by stage.

        Args:
            features: feature maps of the strong views.
            samples: their data samples.
            guidance: in strong-view pixels, ``extra`` a :class:`DenseGuidance`.

        Returns:
            Losses of each stage; every trainable parameter of the student's heads is
            in the graph.
        """
        maps = self.anchor_maps(features)
        sparse = None
        if any(stage.mode == "sparse" for stage in self.stages.values()):
            sparse = above_threshold(
                guidance, self.settings.score_thr, self.settings.ignore_thr
            )
        grids = [tuple(m.shape[-2:]) for m in maps[0]]
        targets = self._targets(grids, samples, guidance.extra)
        return [
            self._dense_losses(
                name, features, maps, len(samples), guidance.extra, targets[name]
            )
            if stage.mode == "dense"
            else self._sparse_losses(name, features, maps, samples, sparse)
            for name, stage in self.stages.items()
        ]

    def _targets(
        self, grids: list[tuple], samples: SampleList, guidance: DenseGuidance
    ) -> dict[str, Targets]:
        """What each dense stage learns."""
        matches, head = {}, anchor_head(self.student)
        for name, stage in self.stages.items():
            if name == "rcnn" and stage.mode == "dense":
                matches[name] = proposal_matches(guidance)
            elif stage.mode == "dense":
                clusters = guidance.stages[name]
                asked = (head, grids, samples, clusters, stage)
                matches[name] = anchor_matches(*asked)
        stages = [self.stages[name] for name in matches]
        targets = cluster_targets(list(matches.values()), stages)
        return dict(zip(matches, targets, strict=True))

    @property
    def num_guided_parts(self) -> int:
        """One for each stage."""
        return len(self.stages)

    def join_guided_loss(self) -> None:
        """Take part in the sums that normalise each dense stage's losses."""
        for stage in self.stages.values():
            if stage.mode == "dense":
                reduced_counts(next(self.parameters()).new_zeros(3))

    @torch.no_grad()
    def inspect(
        self,
        inputs: dict[str, Tensor],
        samples: dict[str, SampleList],
    ) -> tuple[list[InstanceData], list[InstanceData], list[InstanceData]]:
        """Clusters of a batch as teacher and student see them, for drawings.

        Args:
            inputs: image batches of ``unsup_teacher`` and ``unsup_student``.
            samples: their data samples.

        Returns:
            Per image the teacher's and the student's candidates, and the proposals
            that label assignment would label otherwise; see
            :mod:`ssod_mm.models.dense.inspection`.

        Raises:
            ValueError: for a one-stage detector.
        """
        if not self.two_stage:
            raise UserError(
                "Clusters are drawn of the R-CNN stage, which a one-stage detector "
                "does not have."
            )
        views = samples["unsup_teacher"], samples["unsup_student"]
        weak = self.teacher_guidance(inputs["unsup_teacher"], views[0])
        strong = self.to_student_view(weak, *views)
        features = self.student.extract_feat(inputs["unsup_student"])
        roi_head, stage = self.student.roi_head, self.stages["rcnn"]
        both = candidates_of_both(
            roi_head, features, views[1], weak.extra, strong.extra, stage
        )
        pos_iou_thr = roi_head.train_cfg["assigner"]["pos_iou_thr"]
        return *both, disagreements(strong.extra, stage, pos_iou_thr, len(views[0]))

    def _dense_losses(
        self,
        name: str,
        features: Features,
        maps: Sequence[list[Tensor]],
        num_images: int,
        guidance: DenseGuidance,
        targets: Targets,
    ) -> GuidedLosses:
        """Losses and statistics of a stage that learns from clusters."""
        stage = self.stages[name]
        if name == "rcnn":
            losses, figures = rcnn_losses(
                self.student.roi_head,
                partial(self.roi_outputs, features),
                guidance,
                targets,
                num_images,
                stage,
                self.class_weights,
                self.wants_figures,
            )
        else:
            head = anchor_head(self.student)
            losses, figures = anchor_losses(
                head, *maps, targets, stage, self.wants_figures
            )
        if figures:
            figures["clusters"] = figures["clusters"] / num_images
        return GuidedLosses(
            {_NAMES[name][key]: value for key, value in losses.items()},
            targets.num_clusters,
            {f"{name}_{key}": value for key, value in figures.items()},
        )

    def _sparse_losses(
        self,
        name: str,
        features: Features,
        maps: Sequence[list[Tensor]],
        samples: SampleList,
        sparse: PseudoBoxes | None,
    ) -> GuidedLosses:
        """Losses of a stage that learns from pseudo boxes, or not at all."""
        head = anchor_head(self.student)
        if self.stages[name].mode == "off":
            part = self.student.roi_head if name == "rcnn" else head
            nothing = {_NAMES[name]["cls"]: zero_through_parameters(part)}
            return GuidedLosses(nothing, 0)
        samples = pseudo_labelled(samples, sparse)
        if name != "rcnn":
            losses = assigned_anchor_losses(head, name == "rpn", maps, samples)
            return GuidedLosses(losses, sparse.num_boxes)
        with roi_losses(self.student, self.pseudo_roi_loss, self.class_weights):
            losses = assigned_roi_losses(self.student, features, maps, samples)
        return GuidedLosses(losses, sparse.num_boxes)


def _kept_boxes(clusters: Clusters, quality_PC: Tensor | None) -> list[InstanceData]:
    """Kept boxes of each image as detections, by falling rank.

    Args:
        clusters: of the last stage, in the weak views.
        quality_PC: localisation quality of each of its priors and classes, if known.
    """
    kept = clusters.kept
    boxes = InstanceData(bboxes=clusters.kept_boxes, scores=clusters.scores[kept])
    boxes.labels = clusters.labels[kept]
    if quality_PC is not None:
        boxes.loc_scores = quality_PC[clusters.rows[kept], boxes.labels]
    return split_instances(detections(boxes), clusters.kept_counts)
