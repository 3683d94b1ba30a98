"""Certainty-aware pseudo labels (arXiv 2106.00168).

The method is put together from parts that work apart: the interval box head
(``IntervalBBoxHead``, equations 3-5), which teacher and student share and whose
certainty ranks the teacher's detections in NMS, and the class balance
(``ClassBalance``, equation 6). This detector adds what joins them: the certainty in the
log, and teachers that label together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType
from torch import Tensor

from ssod_mm.models.detectors.ensemble import EnsembleDetector
from ssod_mm.models.detectors.mean_teacher import MeanTeacher
from ssod_mm.models.features import Features
from ssod_mm.structures import GuidedLosses, PseudoBoxes


@MODELS.register_module()
class CertaintyTeacher(MeanTeacher):
    """Pseudo labels of a frozen teacher, balanced over the classes.

    What the paper switches on and off, and by which key:

    - certainty (CA): ``IntervalBBoxHead`` in ``detector``; its ``score_factor`` says
      how certainty ranks, and ``class_balance.use_loc`` whether it counts;
    - dynamic thresholds (DT): ``class_balance.g1``;
    - loss re-weighting (RE): ``class_balance.g2``.

    The frozen teacher is ``MeanTeacherEMAHook(teacher="frozen")`` with the teacher's
    weights in ``load_from``; ``teacher="ema"`` is the mean-teacher variant.

    Args:
        detector: as in ``MeanTeacher``.
        *args: as in ``MeanTeacher``.
        teachers: checkpoints of teachers that label together (table 4); needs a frozen
            teacher that is not copied from the student. None: one teacher.
        **kwargs: as in ``MeanTeacher``.
    """

    def __init__(
        self,
        detector: ConfigType,
        *args: Any,
        teachers: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(detector, *args, **kwargs)
        if teachers:
            self.teacher = EnsembleDetector(
                detector, checkpoints=teachers, which="teacher"
            )
            self.freeze(self.teacher)

    def guided_loss(
        self, features: Features, samples: SampleList, guidance: PseudoBoxes
    ) -> list[GuidedLosses]:
        """The student's losses on the pseudo labels, and their mean certainty.

        Args:
            features: feature maps of the strong views.
            samples: their data samples.
            guidance: pseudo labels in strong-view pixels; without an interval head
                their certainty is 1.

        Returns:
            Losses, and ``pseudo_certainty``.
        """
        [guided] = super().guided_loss(features, samples, guidance)
        certainty = torch.cat([boxes.loc_scores for boxes in guidance.instances])
        mean = certainty.mean() if len(certainty) else certainty.sum()
        return [replace(guided, figures={"pseudo_certainty": mean})]

    def _load_from_state_dict(
        self, state_dict: dict[str, Tensor], prefix: str, *args: Any
    ) -> None:
        """Give a plain checkpoint to the student alone where teachers have their own.

        Args:
            state_dict: the checkpoint; changed in place.
            prefix: of this module's keys.
            *args: as in torch.
        """
        plain = not any(key.startswith(("teacher.", "student.")) for key in state_dict)
        if plain and isinstance(self.teacher, EnsembleDetector):
            for key in list(state_dict):
                state_dict[f"student.{key}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args)
