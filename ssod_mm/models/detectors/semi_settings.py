"""Settings that every mean-teacher detector shares."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from mmdet.models.utils import reweight_loss_dict
from torch import Tensor

from ssod_mm.errors import UserError
from ssod_mm.maths.ema import unsup_weight
from ssod_mm.settings import Settings, choice, flag, number, numbers, whole

HULLS = ("corners", "ellipse")


@dataclass(frozen=True)
class SemiTrainConfig(Settings):
    """Keys of ``model.semi_train_cfg``.

    Attributes:
        sup_weight: weight of the labelled loss.
        unsup_weight: weight alpha of the unlabelled loss after burn-in and ramp.
        burn_in: iterations on labelled images alone.
        ramp_iters: iterations over which alpha grows linearly to its value.
        score_thr: pseudo labels need at least this score, in [0, 1].
        ignore_thr: detections with at least this score, but less than ``score_thr``,
            are neither taught nor background: candidates inside them do not count.
            Needs ``ignore_iof_thr`` > 0 in the assigners of ``detector.train_cfg``;
            None makes them background.
        min_box_wh: smallest width and height in student-view pixels.
        min_visible: smallest share of a pseudo box inside the strong view and under
            no erased patch.
        box_hull: hull of a rotated box, ``"corners"`` or ``"ellipse"``.
        weight_by_images: weight the labelled and the unlabelled loss by their shares of
            the batch's images, for batches drawn from the union of both, whose
            composition varies.
        empty_weight: factor on the unlabelled loss of a batch, that of all processes
            together, without any pseudo label; 0 keeps a hesitant teacher from
            teaching that all is background.
        unsup_loss_weights: factors on single unlabelled losses by their mmdet name,
            such as ``dict(loss_bbox=0.0)``.
        joint_forward: images share a backbone pass if padding them to one size adds at
            most this share of pixels, else those of like size do; ``True``: labelled
            and strong views always share one, ``False``: never.
        teacher_stream: on CUDA the teacher works on a stream of its own while the
            student's backbone does; takes more memory.
        freeze_teacher: the teacher gets no gradient; must stay true.
    """

    key: ClassVar[str] = "model.semi_train_cfg"

    sup_weight: float = number(1.0, at_least=0)
    unsup_weight: float = number(1.0, at_least=0)
    burn_in: int = whole(0)
    ramp_iters: int = whole(0)
    score_thr: float = number(0.7, at_least=0, at_most=1)
    ignore_thr: float | None = number(None, at_least=0, at_most=1, optional=True)
    min_box_wh: tuple[float, float] = numbers((1.0, 1.0))
    min_visible: float = number(0.1, at_least=0, at_most=1)
    box_hull: str = choice("corners", HULLS)
    weight_by_images: bool = flag(False)
    empty_weight: float = number(0.0, at_least=0)
    unsup_loss_weights: dict[str, float] | None = None
    joint_forward: bool | float = 0.1
    teacher_stream: bool = flag(False)
    freeze_teacher: bool = flag(True)

    def check(self, key: str) -> None:
        """Check every value, see :meth:`Settings.check`."""
        super().check(key)
        low = self.ignore_thr
        if low is not None and low > self.score_thr:
            raise UserError(
                f"{key}.ignore_thr must lie in [0, score_thr = {self.score_thr}], not "
                f"{low}."
            )
        if not self.freeze_teacher:
            raise UserError(
                f"{key}.freeze_teacher must be True: the teacher is an average of "
                "students and takes no gradient."
            )
        if not (type(self.joint_forward) is bool or _is_weight(self.joint_forward)):
            raise UserError(
                f"{key}.joint_forward must be True, False or a number of at least 0, "
                f"not {self.joint_forward!r}."
            )
        for name, factor in (self.unsup_loss_weights or {}).items():
            if not _is_weight(factor):
                raise UserError(
                    f"{key}.unsup_loss_weights.{name} must be a number of at least 0, "
                    f"not {factor!r}."
                )

    @property
    def max_waste(self) -> float:
        """Padding that the shared backbone pass may add, see ``joint_features``."""
        if self.joint_forward is True:
            return math.inf
        return -1.0 if self.joint_forward is False else float(self.joint_forward)

    def unsup_weight_at(self, iteration: int) -> float:
        """Weight of the unlabelled loss at a 0-based iteration."""
        return unsup_weight(iteration, self.unsup_weight, self.burn_in, self.ramp_iters)

    def branch_shares(self, inputs: dict[str, Tensor]) -> dict[str, float]:
        """Factors on the losses of the branches, from the batch's composition.

        Args:
            inputs: image batches of the branches.

        Returns:
            1 for each branch; with ``weight_by_images`` its share of the images.
        """
        if not self.weight_by_images:
            return dict.fromkeys(inputs, 1.0)
        counts = {key: len(inputs.get(key, ())) for key in ("sup", "unsup_student")}
        return {key: n / sum(counts.values()) for key, n in counts.items()}

    def weigh_unsup_losses(self, losses: dict) -> dict:
        """Apply ``unsup_loss_weights``.

        Args:
            losses: mmdet's loss dict.

        Returns:
            The weighted losses.

        Raises:
            ValueError: a name that is not among the losses.
        """
        factors = self.unsup_loss_weights or {}
        unknown = sorted(set(factors) - set(losses))
        if unknown:
            raise UserError(
                "model.semi_train_cfg.unsup_loss_weights names unknown loss(es) "
                f"{unknown}; this detector has {sorted(losses)}."
            )
        weighted = dict(losses)
        for name, factor in factors.items():
            weighted.update(scaled_losses({name: losses[name]}, factor))
        return weighted


def scaled_losses(losses: Mapping[str, Any], factor: float | Tensor) -> dict[str, Any]:
    """Losses times a factor; by 1 nothing is computed.

    Args:
        losses: mmdet's loss dict; what has no "loss" in its name stays.
        factor: the factor.
    """
    if not isinstance(factor, Tensor) and factor == 1:
        return dict(losses)
    return reweight_loss_dict(dict(losses), factor)


def _is_weight(value: Any) -> bool:
    """Whether a value is a finite number of at least 0."""
    return type(value) in (int, float) and math.isfinite(value) and value >= 0
