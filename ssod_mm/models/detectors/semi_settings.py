"""Settings that every mean-teacher detector shares."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mmdet.models.utils import reweight_loss_dict
from mmdet.utils import OptConfigType
from torch import Tensor

from ssod_mm.maths.ema import unsup_weight


@dataclass(frozen=True)
class SemiTrainConfig:
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
        empty_weight: factor on the unlabelled loss of a batch without any pseudo
            label; 0 keeps a hesitant teacher from teaching that all is background.
        unsup_loss_weights: factors on single unlabelled losses by their mmdet name,
            such as ``dict(loss_bbox=0.0)``.
        joint_forward: labelled and strong views share one backbone pass if stacking
            them adds at most this share of pixels; ``True`` always, ``False`` never.
        freeze_teacher: the teacher gets no gradient; must stay true.
    """

    sup_weight: float = 1.0
    unsup_weight: float = 1.0
    burn_in: int = 0
    ramp_iters: int = 0
    score_thr: float = 0.7
    ignore_thr: float | None = None
    min_box_wh: tuple[float, float] = (1.0, 1.0)
    min_visible: float = 0.1
    box_hull: str = "corners"
    weight_by_images: bool = False
    empty_weight: float = 0.0
    unsup_loss_weights: dict[str, float] | None = None
    joint_forward: bool | float = 0.1
    freeze_teacher: bool = True

    @classmethod
    def from_config(cls, cfg: OptConfigType) -> SemiTrainConfig:
        """Checked settings from a config dict.

        Args:
            cfg: the dict ``model.semi_train_cfg``, or None for the defaults.

        Returns:
            The settings.

        Raises:
            ValueError: for an unknown key or a value out of range; names the key.
        """
        cfg = dict(cfg or {})
        known = set(cls.__dataclass_fields__)
        unknown = sorted(set(cfg) - known)
        if unknown:
            raise ValueError(
                f"model.semi_train_cfg has unknown key(s) {unknown}; "
                f"known: {sorted(known)}."
            )
        settings = cls(**cfg)
        if not 0.0 <= settings.score_thr <= 1.0:
            raise ValueError(
                "model.semi_train_cfg.score_thr must lie in [0, 1], "
                f"not {settings.score_thr}."
            )
        low = settings.ignore_thr
        if low is not None and not 0.0 <= low <= settings.score_thr:
            raise ValueError(
                "model.semi_train_cfg.ignore_thr must lie in [0, score_thr = "
                f"{settings.score_thr}], not {low}."
            )
        if not settings.freeze_teacher:
            raise ValueError(
                "model.semi_train_cfg.freeze_teacher must be True: the teacher is "
                "an average of students and takes no gradient."
            )
        for key in ("sup_weight", "unsup_weight", "burn_in", "ramp_iters"):
            if getattr(settings, key) < 0:
                raise ValueError(f"model.semi_train_cfg.{key} must not be negative.")
        return settings

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
            raise ValueError(
                "model.semi_train_cfg.unsup_loss_weights names unknown loss(es) "
                f"{unknown}; this detector has {sorted(losses)}."
            )
        weighted = dict(losses)
        for name, factor in factors.items():
            weighted.update(reweight_loss_dict({name: losses[name]}, factor))
        return weighted
