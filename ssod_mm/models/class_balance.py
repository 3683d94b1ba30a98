"""Thresholds and loss weights per class, from what the teacher has found so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from mmdet.models import BaseDetector
from mmdet.registry import MODELS
from mmengine.dist import all_reduce
from mmengine.structures import InstanceData
from torch import Tensor, nn

from ssod_mm.errors import UserError
from ssod_mm.maths.thresholds import (
    class_evidence,
    class_thresholds,
    class_weights,
    relative_frequencies,
)
from ssod_mm.models.heads.answers import box_heads, knows_quality
from ssod_mm.settings import Settings, choice, flag, number, numbers

_KEY = "model.class_balance"
AVERAGES = ("count", "evidence")


@dataclass(frozen=True)
class BalanceSettings(Settings):
    """Keys of ``model.class_balance``, see :class:`ClassBalance`."""

    key: ClassVar[str] = "model.class_balance"

    tau: float = number(0.7, at_least=0, at_most=1)
    g1: float = number(0.05, at_least=0)
    g2: float = number(0.6, at_least=0)
    clip: tuple[float, float] = numbers((0.4, 0.9))
    weight_bounds: tuple[float, float] = numbers((0.1, 10.0))
    floor: float = number(0.05, at_least=0, at_most=1)
    use_loc: bool = flag(True)
    prior: float = number(1.0, at_least=0)
    decay: float = number(1.0, above=0, at_most=1)
    average: str = choice("count", AVERAGES)

    def check(self, key: str) -> None:
        """Check every value, see :meth:`Settings.check`."""
        super().check(key)
        if not self.clip[0] <= self.clip[1] <= 1:
            raise UserError(
                f"{key}.clip must be a lower and an upper threshold in [0, 1], such as "
                f"(0.4, 0.9), not {tuple(self.clip)}."
            )
        if not 0 < self.weight_bounds[0] <= self.weight_bounds[1]:
            raise UserError(
                f"{key}.weight_bounds must be a least and a largest weight above 0, "
                f"such as (0.1, 10.0), not {tuple(self.weight_bounds)}."
            )


@MODELS.register_module()
class ClassBalance(nn.Module):
    """Dynamic thresholds and re-weighting (certainty-aware paper, equation 6).

    Counts the teacher's detections over the whole of training and all processes; the
    counts are buffers, so that checkpoints carry them. A class of which little is
    found gets a lower threshold for pseudo labels and a larger weight in the losses of
    its foreground candidates. It costs one small reduction per step and no
    synchronisation with the device.

    Deviation: the paper leaves open how it starts. Every class is taken to have had
    ``prior`` sure candidates before the first one, so that the thresholds set out from
    ``tau`` and the weights from 1; ``prior=0`` follows the counts at once. By the
    printed ``n``, a number of candidates, an average class falls below 1 by its mean
    ``p * v``: where a teacher of few labels is unsure, all weights are large, on
    labelled images too. ``average="evidence"`` measures classes by each other.

    Args:
        num_classes: C; a semi-supervised detector fills in that of its box head.
        tau: threshold of an average class; a semi-supervised detector fills in its
            ``semi_train_cfg.score_thr``.
        g1: exponent of the thresholds; 0 switches them off: ``tau`` for all.
        g2: exponent of the weights; 0 switches them off: 1 for all.
        clip: bounds of the thresholds.
        weight_bounds: bounds of the weights.
        floor: least class probability of a counted detection. The teacher's own test
            threshold applies before.
        use_loc: count ``p * v`` with the localisation quality ``v = loc_scores``;
            otherwise ``p`` alone.
        prior: see above.
        average: what an average class has, ``n``: the mean ``"count"`` of candidates,
            or the mean ``"evidence"`` c_m.
        decay: factor on the old counts at each update; below 1 it forgets, over some
            ``1 / (1 - decay)`` steps, what an early teacher found.

    Raises:
        ValueError: for an argument out of range; names the config key.
    """

    def __init__(  # noqa: PLR0913  (each is a config key)
        self,
        num_classes: int,
        tau: float = 0.7,
        g1: float = 0.05,
        g2: float = 0.6,
        clip: Sequence[float] = (0.4, 0.9),
        weight_bounds: Sequence[float] = (0.1, 10.0),
        floor: float = 0.05,
        use_loc: bool = True,
        prior: float = 1.0,
        decay: float = 1.0,
        average: str = "count",
    ) -> None:
        super().__init__()
        BalanceSettings.from_config(
            dict(
                tau=tau,
                g1=g1,
                g2=g2,
                clip=clip,
                weight_bounds=weight_bounds,
                floor=floor,
                use_loc=use_loc,
                prior=prior,
                decay=decay,
                average=average,
            )
        )
        self.num_classes = num_classes
        self.tau, self.g1, self.g2 = tau, g1, g2
        self.clip = (float(clip[0]), float(clip[1]))
        self.weight_bounds = (float(weight_bounds[0]), float(weight_bounds[1]))
        self.floor = floor
        self.use_loc = use_loc
        self.prior = prior
        self.decay = decay
        self.average = average
        # float64: in float32 a sum stops to grow at 16 million candidates.
        zeros = torch.zeros(num_classes, dtype=torch.float64)
        self.register_buffer("mass", zeros.clone())
        self.register_buffer("counts", zeros.clone())

    @torch.no_grad()
    def update(
        self, labels: Tensor, probs: Tensor, loc_scores: Tensor | None = None
    ) -> None:
        """Count the detections of one step, over all processes.

        Every process has to call it, also without a detection.

        Args:
            labels: (N,) int64 classes in [0, C).
            probs: (N,) class probabilities.
            loc_scores: (N,) localisation qualities in [0, 1].

        Raises:
            ValueError: ``use_loc`` without ``loc_scores``.
        """
        if self.use_loc and loc_scores is None:
            raise UserError(
                f"{_KEY}.use_loc=True needs detections with loc_scores, as a box head "
                f"with a localisation quality gives them; set {_KEY}.use_loc=False to "
                "count class probabilities alone."
            )
        qualities = loc_scores if self.use_loc else None
        sums = class_evidence(labels, probs, qualities, self.num_classes, self.floor)
        all_reduce(sums)
        self.mass.mul_(self.decay).add_(sums[0])
        self.counts.mul_(self.decay).add_(sums[1])

    def observe(self, detections: Sequence[InstanceData]) -> None:
        """Count the teacher's detections in a batch; see :meth:`update`.

        Args:
            detections: per image ``labels``, ``cls_scores`` and ``loc_scores``; empty
                for a batch without images, when other processes may have some.
        """
        if not detections:
            nothing = self.counts.new_zeros(0)
            return self.update(nothing.long(), nothing, nothing)
        columns = ("labels", "cls_scores", "loc_scores")
        return self.update(
            *(torch.cat([boxes[c] for boxes in detections]) for c in columns)
        )

    def thresholds(self) -> Tensor:
        """Score threshold tau_m of each class, (C,) float32."""
        return class_thresholds(self._frequencies(), self.tau, self.g1, self.clip)

    def weights(self) -> Tensor:
        """Loss weight alpha_m of each class, (C,) float32."""
        return class_weights(self._frequencies(), self.g2, self.weight_bounds)

    def _frequencies(self) -> Tensor:
        of_all = self.counts if self.average == "count" else self.mass
        return relative_frequencies(self.mass, of_all, self.prior)


def build_class_balance(
    cfg: dict[str, Any], detector: BaseDetector, score_thr: float
) -> ClassBalance:
    """The class balance of a detector; its head gives the number of classes.

    Args:
        cfg: the dict ``model.class_balance``; ``type`` may be left out.
        detector: the student.
        score_thr: threshold of an average class where ``cfg`` has no ``tau``.

    Returns:
        The component.

    Raises:
        ValueError: weights are asked for and the detector has no RoI head, or a
            localisation quality and its head gives none.
    """
    heads = box_heads(detector)
    head = heads[0] if heads else detector.bbox_head
    defaults = dict(type="ClassBalance", num_classes=head.num_classes, tau=score_thr)
    balance = MODELS.build({**defaults, **cfg})
    if balance.g2 and not heads:
        raise UserError(
            f"{_KEY}.g2={balance.g2} weights the foreground candidates of an RoI head, "
            f"but {type(detector).__name__} has none: set {_KEY}.g2=0 to have the "
            "thresholds alone, or take a two-stage detector."
        )
    if balance.use_loc and not knows_quality(head):
        raise UserError(
            f"{_KEY}.use_loc=True counts p * v, but {type(head).__name__} gives no "
            f"localisation quality v: set {_KEY}.use_loc=False to count p alone, or "
            "take a head that does, such as IntervalBBoxHead."
        )
    return balance
