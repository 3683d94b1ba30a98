"""The labelled and unlabelled half of a batch, in one pass of the student's heads."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

import torch
from mmdet.models import BaseDetector
from mmdet.structures import SampleList
from torch import Tensor, nn

from ssod_mm.models.batched.parts import losses_of_parts
from ssod_mm.models.features import (
    BatchFeatures,
    Features,
    SharedSamples,
    replaced_method,
    use_features,
)
from ssod_mm.models.graph import anchor_empty_losses
from ssod_mm.models.roi_losses import Candidates, RoILoss, roi_losses, true_box_loss


class Halves:
    """Two halves of a batch: what is asked of the second is computed of both.

    Args:
        features: of the labelled images and of those that pseudo labels teach, with
            ``whole``.
        labelled: data samples of the labelled images.
    """

    def __init__(self, features: BatchFeatures, labelled: SampleList) -> None:
        self.features = features
        self.labelled = labelled
        self._of_labelled: dict | None = None
        self._maps_of_labelled: tuple[list[Tensor], ...] | None = None

    def anchor_maps(
        self, head: nn.Module, features: Features
    ) -> tuple[list[Tensor], ...]:
        """What the student's anchor head gives for the second half.

        Args:
            head: the anchor head.
            features: of the half; those that this object holds, or any others.
        """
        if features is not self.features[1]:
            return head(features)
        count = len(self.labelled)
        maps = head(self.features.whole)
        self._maps_of_labelled = tuple([m[:count] for m in levels] for levels in maps)
        return tuple([m[count:] for m in levels] for levels in maps)

    def known_maps(
        self, head: nn.Module, features: Features
    ) -> AbstractContextManager[None]:
        """Let the anchor head answer by the maps that it gave before.

        Args:
            head: the anchor head.
            features: that it will be asked about.
        """
        maps = self._maps_of_labelled
        if maps is None or features is not self.features[0]:
            return nullcontext()
        return replaced_method(head, "forward", lambda _features: maps)

    def roi_outputs(
        self, head: nn.Module, rois: Tensor, labelled_loss: Callable[[], dict]
    ) -> dict[str, Tensor]:
        """What the student's RoI head gives for RoIs of the second half.

        Args:
            head: the RoI head.
            rois: (P, 5), image in the half and xyxy.
            labelled_loss: computes the losses of the labelled half, which asks the head
                about that half's RoIs; :meth:`losses` gives them when they are wanted.
        """
        forward, of_second = head._bbox_forward, {}
        images, boxes = rois.split([1, 4], dim=1)
        moved = torch.cat([images + len(self.labelled), boxes], dim=1)

        def of_both(_features: Features, labelled_rois: Tensor) -> dict[str, Tensor]:
            outputs = forward(self.features.whole, torch.cat([labelled_rois, moved]))
            count = len(labelled_rois)
            of_second.update({key: rows[count:] for key, rows in outputs.items()})
            return {key: rows[:count] for key, rows in outputs.items()}

        head.rois_behind = moved
        try:
            with replaced_method(head, "_bbox_forward", of_both):
                self._of_labelled = labelled_loss()
        finally:
            del head.rois_behind
        return of_second

    def losses(
        self,
        student: BaseDetector,
        features: Features,
        samples: SampleList,
        roi_loss: RoILoss | None,
        class_weights_C: Tensor | None,
    ) -> dict | None:
        """The student's losses of one half.

        Args:
            student: its heads know parts of a batch, see
                :func:`~ssod_mm.models.batched.parts.heads_of_parts`.
            features: of the half; those that this object holds, or any others.
            samples: its data samples.
            roi_loss: the RoI loss of the half; None for the box head's own.
            class_weights_C: see :func:`roi_losses`.

        Returns:
            mmdet's loss dict; None where the half has to be computed alone.
        """
        if features is self.features[0] and samples is self.labelled and not roi_loss:
            return self._of_labelled
        if features is not self.features[1] or self._of_labelled is not None:
            return None

        def loss_of_half(candidates: Candidates) -> dict[str, Tensor]:
            taught = roi_loss is not None and candidates.sampling.part == 1
            return (roi_loss if taught else true_box_loss)(candidates)

        with (
            use_features(student, self.features.whole),
            roi_losses(student, roi_loss and loss_of_half, class_weights_C),
        ):
            both = losses_of_parts(
                student,
                SharedSamples([*self.labelled, *samples]),
                [len(self.labelled), len(samples)],
            )
        self._of_labelled, taught = (
            anchor_empty_losses(losses, student) for losses in both
        )
        return taught
