"""LER and PRC: pseudo labels weighted by how well they are placed.

"Semi-Supervised Object Detection via Dynamic Reweighting of Localization Error" (ICIC
2025). Both halves act on the student's RoI head: LER weights the box loss of a
candidate by the localisation quality of its pseudo label, PRC its classification loss
by what the teacher says of the candidate itself.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from ssod_mm.maths.reweighting import (
    background_reliability,
    foreground_reliability,
    ler_weights,
    masked_mean,
    prc_weights,
)
from ssod_mm.models.class_balance import box_heads
from ssod_mm.models.detectors.lerprc_settings import LerConfig, PrcConfig
from ssod_mm.models.detectors.mean_teacher import MeanTeacher
from ssod_mm.models.features import use_features
from ssod_mm.models.heads.quality import with_quality
from ssod_mm.models.mixed_views import MixedViews
from ssod_mm.models.rescoring import RescorableBoxes, rescore, teacher_rois
from ssod_mm.models.roi_losses import (
    Candidates,
    box_loss_denominator,
    own_losses,
    replaced_roi_loss,
    weighted_cls_losses,
)
from ssod_mm.settings import switched
from ssod_mm.structures import PseudoBoxes


@MODELS.register_module()
class LerPrcTeacher(MeanTeacher):
    """Mean teacher with localisation error and proposal reliability reweighting.

    Works with any standard or cascade RoI head. The qualities come from the box head
    (``loc_quality``): Gaussian boxes as in the paper, or interval certainty. A head
    that tells pseudo labels from true boxes is asked for the former's loss on
    unlabelled images, with LER and PRC or without.

    Deviation: a cascade is re-scored stage by stage by the teacher's head of the same
    stage.

    Args:
        *args: as in ``MeanTeacher``.
        ler: keys of :class:`LerConfig`; True takes its defaults, None is off.
        prc: keys of :class:`PrcConfig`; True takes its defaults, None is off.
        **kwargs: as in ``MeanTeacher``.

    Raises:
        ValueError: no two-stage detector, a box head without a localisation quality
            where one is needed, or a wrong setting; names the config key.
    """

    def __init__(
        self,
        *args: Any,
        ler: dict | bool | None = True,
        prc: dict | bool | None = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.ler = switched(LerConfig, ler)
        self.prc = switched(PrcConfig, prc)
        if self.prc is not None:
            self.mixing.refuse(
                ["pseudo_mixup"],
                "PRC asks the teacher about each candidate, which under mixup lies in "
                "two images (set model.prc to None, or take pseudo_mosaic)",
            )
        heads = box_heads(self.student)
        if not heads:
            raise ValueError(
                "model.detector must be a two-stage detector: LerPrcTeacher weights "
                f"RoI candidates, and {type(self.student).__name__} has none."
            )
        for settings in (self.ler, self.prc):
            if settings is None or not settings.quality:
                continue
            for head in heads:
                if not hasattr(head, "loc_quality"):
                    raise ValueError(
                        f"{settings.key}.quality needs a localisation quality, and "
                        f"{type(head).__name__} has none: set bbox_head.type to "
                        f"'GaussianBBoxHead', or {settings.key}.quality to False."
                    )

    def loss(
        self,
        multi_batch_inputs: dict[str, Tensor],
        multi_batch_data_samples: dict[str, SampleList],
    ) -> dict[str, Tensor]:
        """Losses of one step, see :meth:`MeanTeacher.loss`.

        Args:
            multi_batch_inputs: image batches of the branches.
            multi_batch_data_samples: their data samples.

        Returns:
            Losses and diagnostics.
        """
        losses = super().loss(multi_batch_inputs, multi_batch_data_samples)
        if self.last_step is not None:
            # What hooks look at must not keep the teacher's feature maps alive.
            self.last_step = replace(
                self.last_step,
                labels_weak=self.last_step.labels_weak.bare(),
                labels_strong=self.last_step.labels_strong.bare(),
            )
        return losses

    def teacher_guidance(self, inputs: Tensor, samples: SampleList) -> RescorableBoxes:
        """The teacher's detections, with the features that they were found in.

        Args:
            inputs: weak views (B, 3, H, W).
            samples: their data samples; not changed.

        Returns:
            Boxes in weak-view pixels with ``loc_scores``.
        """
        features = tuple(self.teacher.extract_feat(inputs))
        with use_features(self.teacher, features):
            found = super().teacher_guidance(inputs, samples)
        instances = [with_quality(one) for one in found.instances]
        return RescorableBoxes(instances, found.ignored, features, samples)

    def select(self, found: RescorableBoxes) -> RescorableBoxes:
        """Pseudo labels among the detections, see :meth:`MeanTeacher.select`.

        Args:
            found: what ``teacher_guidance`` gave.

        Returns:
            Those at or above the threshold.
        """
        return found.replace(super().select(found))

    def to_student_view(
        self, guidance: RescorableBoxes, weak: SampleList, strong: SampleList
    ) -> RescorableBoxes:
        """Pseudo labels in the strong views, see :meth:`MeanTeacher.to_student_view`.

        Args:
            guidance: boxes in weak-view pixels.
            weak: data samples of the weak views.
            strong: data samples of the strong views, in the same image order.

        Returns:
            Boxes in strong-view pixels; the teacher's features stay those of the weak
            views.
        """
        return guidance.replace(super().to_student_view(guidance, weak, strong))

    def to_mixed_views(
        self, guidance: RescorableBoxes, mixed: MixedViews
    ) -> RescorableBoxes:
        """Pseudo labels in mixed images, see :meth:`MeanTeacher.to_mixed_views`.

        Args:
            guidance: boxes in strong-view pixels.
            mixed: where the strong views are in the mixed images.

        Returns:
            Boxes in mixed-image pixels, by which candidates find their weak views.
        """
        return guidance.replace(super().to_mixed_views(guidance, mixed), mixed)

    def roi_losses(
        self, guidance: RescorableBoxes, samples: SampleList
    ) -> AbstractContextManager[None]:
        """Context in which :meth:`roi_loss` makes the RoI losses.

        The RPN learns from the pseudo labels as from true boxes. The RoI head assigns,
        samples and forwards its candidates once, and both losses are made of that one
        pass.

        Args:
            guidance: pseudo labels in strong-view pixels.
            samples: data samples of the strong views.
        """
        loss = partial(self.roi_loss, guidance, samples)
        return replaced_roi_loss(self.student, loss)

    def roi_loss(
        self, guidance: RescorableBoxes, samples: SampleList, candidates: Candidates
    ) -> dict[str, Tensor]:
        """RoI losses of one stage on pseudo-labelled images.

        Args:
            guidance: pseudo labels in strong-view pixels.
            samples: data samples of the strong views.
            candidates: the student's candidates.

        Returns:
            mmdet's loss dict, not yet weighted by alpha, and diagnostics.
        """
        bbox_weights, stats = candidates.bbox_weights, {}
        if self.ler is not None:
            weights, stats = self._ler_weights(guidance, candidates)
            shape = (-1, *[1] * (bbox_weights.dim() - 1))
            bbox_weights = bbox_weights * weights.reshape(shape)
        losses = own_losses(candidates, bbox_weights, with_cls=self.prc is None)
        if self.prc is not None:
            weights, prc_stats = self._prc_weights(guidance, samples, candidates)
            weights = weights * candidates.label_weights
            losses.update(weighted_cls_losses(candidates, weights))
            stats = {**stats, **prc_stats}
        return {**losses, **stats}

    @torch.no_grad()
    def _ler_weights(
        self, guidance: PseudoBoxes, candidates: Candidates
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Factors (P,) on the head's box losses, which turn them into equation 11."""
        settings, foreground = self.ler, candidates.foreground
        quality = assigned_quality(guidance, candidates)
        used = quality if settings.quality else torch.ones_like(quality)
        weights = settings.gain * ler_weights(used, foreground, settings.reg_norm)
        weights = weights * box_loss_denominator(candidates)
        return weights, {"ler_quality": masked_mean(quality, foreground)}

    @torch.no_grad()
    def _prc_weights(
        self, guidance: RescorableBoxes, samples: SampleList, candidates: Candidates
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Factors (P,) on the classification losses: equations 12 to 14."""
        settings, foreground = self.prc, candidates.foreground
        hull = settings.box_hull or self.settings.box_hull
        student_rois = candidates.rois
        if guidance.mixed is not None:
            student_rois = guidance.mixed.views_of(student_rois)
            samples = guidance.mixed.views
        rois, stats = teacher_rois(
            student_rois, guidance.samples_weak, samples, hull, settings.growth_thr
        )
        probs, bbox_pred = rescore(
            self.teacher.roi_head, candidates.stage, guidance.features, rois
        )
        head = box_heads(self.teacher)[candidates.stage]
        quality = head.loc_quality(bbox_pred, rois) if settings.quality else None
        of_fg = foreground_reliability(probs, quality, head.num_classes)
        of_fg = settings.gain * of_fg
        of_bg = background_reliability(probs, head.num_classes)
        weights = prc_weights(of_fg, of_bg, foreground, settings.cls_norm)
        stats = {
            "fg_reliability": masked_mean(of_fg, foreground),
            "bg_reliability": masked_mean(of_bg, ~foreground),
            **stats,
        }
        return weights, {f"prc_{name}": value for name, value in stats.items()}


def assigned_quality(guidance: PseudoBoxes, candidates: Candidates) -> Tensor:
    """Localisation quality of the pseudo label that each candidate is assigned to.

    Args:
        guidance: pseudo labels with ``loc_scores``, in the order in which the
            assigner saw them.
        candidates: the candidates.

    Returns:
        (P,) float32 in [0, 1]; 1 for background candidates.
    """
    parts = []
    for pseudo, chosen in zip(guidance.instances, candidates.sampling, strict=True):
        taught = pseudo.loc_scores.float()[chosen.pos_assigned_gt_inds]
        parts += [taught, taught.new_ones(len(chosen.neg_priors))]
    return torch.cat(parts)
