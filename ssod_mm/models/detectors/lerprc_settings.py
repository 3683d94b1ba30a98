"""Settings of LER and PRC, each switched on or off as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ssod_mm.maths.reweighting import CLS_NORMS, REG_NORMS
from ssod_mm.models.detectors.semi_settings import HULLS
from ssod_mm.settings import Settings, choice, flag, number


@dataclass(frozen=True)
class LerConfig(Settings):
    """Keys of ``model.ler``: localisation error reweighting in regression.

    Attributes:
        quality: whether the quality of the pseudo labels weights the box loss; without
            it all of them count alike, and ``reg_norm`` alone makes a difference.
        reg_norm: the box loss of a candidate is the sum over its four deltas. These
            sums are divided by the number of ``"foreground"`` candidates
            (equation 11), or of all ``"sampled"`` ones, as in MMDetection.
        gain: factor on the weights; the printed quality is below 0.5.
    """

    key: ClassVar[str] = "model.ler"

    quality: bool = flag(True)
    reg_norm: str = choice("foreground", REG_NORMS)
    gain: float = number(1.0, above=0)


@dataclass(frozen=True)
class PrcConfig(Settings):
    """Keys of ``model.prc``: proposal reliability reweighting in classification.

    Attributes:
        quality: whether the localisation quality of the teacher's prediction is part
            of a foreground candidate's reliability.
        cls_norm: foreground and background losses are divided by their own counts
            (``"separate"``), or both by the number of candidates (``"joint"``).
        gain: factor on the foreground reliabilities; the printed quality is below 0.5.
        box_hull: box around a student candidate that is rotated in the teacher's view,
            ``"corners"`` or ``"ellipse"``; None takes ``semi_train_cfg.box_hull``.
        growth_thr: hulls that are larger than their candidate by more than this factor
            are counted in the log.
    """

    key: ClassVar[str] = "model.prc"

    quality: bool = flag(True)
    cls_norm: str = choice("separate", CLS_NORMS)
    gain: float = number(1.0, above=0)
    box_hull: str | None = choice(None, (None, *HULLS))
    growth_thr: float = number(1.5, above=0)
