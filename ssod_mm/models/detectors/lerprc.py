"""LER and PRC: pseudo labels weighted by how well they are placed.

"Semi-Supervised Object Detection via Dynamic Reweighting of Localization Error" (ICIC
2025). Both halves act on the student's RoI head: LER weights the box loss of a
candidate by the localisation quality of its pseudo label, PRC its classification loss
by what the teacher says of the candidate itself. LER also acts on a one-stage detector
whose head knows such a quality.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.maths.reweighting import (
    background_reliability,
    foreground_reliability,
    ler_weights,
    masked_mean,
    prc_weights,
)
from ssod_mm.models.detectors.lerprc_settings import LerConfig, PrcConfig
from ssod_mm.models.detectors.mean_teacher import MeanTeacher
from ssod_mm.models.features import Features, use_features
from ssod_mm.models.heads.answers import box_heads, knows_quality, weighs_boxes
from ssod_mm.models.pseudo_labels import pseudo_labelled
from ssod_mm.models.rescoring import WeakViews, rescore
from ssod_mm.models.roi_losses import (
    Candidates,
    pseudo_label_loss,
    true_box_loss,
    weighted_box_losses,
    weighted_cls_losses,
)
from ssod_mm.settings import switched
from ssod_mm.structures import GuidedLosses, PseudoBoxes


@MODELS.register_module()
class LerPrcTeacher(MeanTeacher):
    """Mean teacher with localisation error and proposal reliability reweighting.

    Works with any standard or cascade RoI head. The qualities come from the box head
    (``loc_quality``): Gaussian boxes as in the paper, or interval certainty. A head
    that tells pseudo labels from true boxes is asked for the former's loss on
    unlabelled images, with LER and PRC or without.

    A one-stage detector with :class:`LocQualityGFLHead` takes LER alone (``prc=None``):
    there it weights the box and the distribution losses of the anchors.

    Deviation: a cascade is re-scored stage by stage by the teacher's head of the same
    stage.

    Args:
        *args: as in ``MeanTeacher``.
        ler: keys of :class:`LerConfig`; True takes its defaults, None is off.
        prc: keys of :class:`PrcConfig`; True takes its defaults, None is off.
        **kwargs: as in ``MeanTeacher``.

    Raises:
        ValueError: a detector of another kind, a box head without a localisation
            quality where one is needed, or a wrong setting; names the config key.
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
        self.two_stage = bool(heads)
        if not heads:
            self._check_one_stage()
        for settings in (self.ler, self.prc):
            if settings is None or not settings.quality:
                continue
            for head in heads:
                if not knows_quality(head):
                    raise UserError(
                        f"{settings.key}.quality needs a localisation quality, and "
                        f"{type(head).__name__} has none: set bbox_head.type to "
                        f"'GaussianBBoxHead', or {settings.key}.quality to False."
                    )

    def _check_one_stage(self) -> None:
        if not weighs_boxes(self.student):
            raise UserError(
                "model.detector must be a two-stage detector, or for LER alone a GFL "
                "with bbox_head.type='LocQualityGFLHead': LerPrcTeacher weights RoI "
                f"candidates, and {type(self.student).__name__} has none."
            )
        if self.prc is not None:
            raise UserError(
                "model.prc asks the teacher about RoI candidates, and "
                f"{type(self.student).__name__} has none: set model.prc to None."
            )
        if self.ler is not None and self.ler.reg_norm != "foreground":
            raise UserError(
                f"model.ler.reg_norm={self.ler.reg_norm!r} counts sampled RoI "
                f"candidates, and {type(self.student).__name__} has none: set it to "
                "'foreground'."
            )

    def teacher_guidance(self, inputs: Tensor, samples: SampleList) -> PseudoBoxes:
        """The teacher's detections, and for PRC the features they were found in.

        Args:
            inputs: weak views (B, 3, H, W).
            samples: their data samples; not changed.

        Returns:
            Boxes in weak-view pixels; with PRC ``extra`` is a :class:`WeakViews`.
        """
        if self.prc is None:
            return super().teacher_guidance(inputs, samples)
        features = self.teacher.extract_feat(inputs)
        with use_features(self.teacher, features):
            guidance = super().teacher_guidance(inputs, samples)
        return replace(guidance, extra=WeakViews(features, samples))

    def guided_loss(
        self, features: Features, samples: SampleList, guidance: PseudoBoxes
    ) -> list[GuidedLosses]:
        """The student's losses, those of the RoI head by :meth:`roi_loss`.

        The RPN learns from the pseudo labels as from true boxes. The RoI head assigns,
        samples and forwards its candidates once, and both losses come from that one
        pass. A one-stage head learns as from true boxes, with weights of their boxes.

        Args:
            features: feature maps of the strong views.
            samples: their data samples.
            guidance: pseudo labels in strong-view pixels.

        Returns:
            Losses and, in the same dict, figures of LER and PRC.
        """
        labelled = pseudo_labelled(samples, guidance)
        if not self.two_stage:
            figures = self._weigh_boxes(labelled, guidance)
            losses = self.student_loss(features, labelled)
            return [GuidedLosses({**losses, **figures}, guidance.num_boxes)]
        loss = partial(self.roi_loss, guidance, samples)
        losses = self.student_loss(features, labelled, loss)
        return [GuidedLosses(losses, guidance.num_boxes)]

    def _weigh_boxes(
        self, labelled: SampleList, guidance: PseudoBoxes
    ) -> dict[str, Tensor]:
        """Give the pseudo labels of a one-stage detector the weights of LER.

        Equation 11, in which GFL's own divisor stands for N: the class scores of the
        foreground anchors, summed up.
        """
        if self.ler is None:
            return {}
        qualities = [boxes.loc_scores for boxes in guidance.instances]
        for sample, quality in zip(labelled, qualities, strict=True):
            used = quality if self.ler.quality else torch.ones_like(quality)
            sample.gt_instances.box_weights = self.ler.gain * used
        if not self.wants_figures:
            return {}
        together = torch.cat(qualities)
        return {"ler_quality": together.sum() / max(len(together), 1)}

    def roi_loss(
        self, guidance: PseudoBoxes, samples: SampleList, candidates: Candidates
    ) -> dict[str, Tensor]:
        """RoI losses of one stage on pseudo-labelled images.

        Args:
            guidance: pseudo labels in strong-view pixels.
            samples: data samples of the strong views.
            candidates: the student's candidates.

        Returns:
            mmdet's loss dict, not yet weighted by alpha, and diagnostics.
        """
        if self.ler is None:
            losses = pseudo_label_loss(replace(candidates, cls_score=None))
        else:
            weights, figures = self._ler_weights(guidance, candidates)
            losses = {**weighted_box_losses(candidates, weights), **figures}
        if self.prc is None:
            losses.update(true_box_loss(replace(candidates, bbox_pred=None)))
        else:
            weights, figures = self._prc_weights(guidance, samples, candidates)
            weights = weights * candidates.label_weights
            losses.update({**weighted_cls_losses(candidates, weights), **figures})
        return losses

    @torch.no_grad()
    def _ler_weights(
        self, guidance: PseudoBoxes, candidates: Candidates
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Factors (P,) on the candidates' box losses: equation 11."""
        settings, foreground = self.ler, candidates.foreground
        quality = assigned_quality(guidance, candidates)
        used = quality if settings.quality else torch.ones_like(quality)
        weights = settings.gain * ler_weights(used, foreground, settings.reg_norm)
        if not self.wants_figures:
            return weights, {}
        return weights, {"ler_quality": masked_mean(quality, foreground)}

    @torch.no_grad()
    def _prc_weights(
        self, guidance: PseudoBoxes, samples: SampleList, candidates: Candidates
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Factors (P,) on the classification losses: equations 12 to 14."""
        settings, foreground = self.prc, candidates.foreground
        hull = settings.box_hull or self.settings.box_hull
        weak: WeakViews = guidance.extra
        wanted = self.wants_figures
        rois, figures = weak.rois(
            candidates.rois, samples, hull, settings.growth_thr, wanted
        )
        probs, bbox_pred = rescore(
            self.teacher.roi_head, candidates.stage, weak.features, rois
        )
        head = box_heads(self.teacher)[candidates.stage]
        quality = head.loc_quality(bbox_pred, rois) if settings.quality else None
        of_fg = foreground_reliability(probs, quality, head.num_classes)
        of_fg = settings.gain * of_fg
        of_bg = background_reliability(probs, head.num_classes)
        weights = prc_weights(of_fg, of_bg, foreground, settings.cls_norm)
        if wanted:
            figures["fg_reliability"] = masked_mean(of_fg, foreground)
            figures["bg_reliability"] = masked_mean(of_bg, ~foreground)
        return weights, {f"prc_{name}": value for name, value in figures.items()}


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
