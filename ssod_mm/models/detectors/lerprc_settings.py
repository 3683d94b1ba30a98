"""Settings of LER and PRC, each switched on or off as a whole."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from ssod_mm.maths.reweighting import CLS_NORMS, REG_NORMS

HULLS = ("corners", "ellipse")
Settings = TypeVar("Settings", bound="_Switch")


class _Switch:
    """Settings that a config gives as a dict, as True (defaults) or False or None."""

    key: str

    @classmethod
    def from_config(cls: type[Settings], cfg: dict | bool | None) -> Settings | None:
        """Checked settings.

        Args:
            cfg: a dict of settings, True for the defaults, False or None for off.

        Returns:
            The settings; None for off.

        Raises:
            ValueError: unknown key or value out of range; names the config key.
        """
        if cfg is None or cfg is False:
            return None
        cfg = {} if cfg is True else dict(cfg)
        known = [field.name for field in fields(cls)]
        unknown = sorted(set(cfg) - set(known))
        if unknown:
            raise ValueError(
                f"{cls.key} has unknown key(s) {unknown}; known: {sorted(known)}. "
                f"{cls.key}=None switches it off."
            )
        settings = cls(**cfg)
        settings.check()
        return settings

    def _one_of(self, name: str, choices: tuple[Any, ...]) -> None:
        value = getattr(self, name)
        if value not in choices:
            raise ValueError(
                f"{self.key}.{name} must be one of {list(choices)}, not {value!r}."
            )

    def _positive(self, name: str) -> None:
        if not getattr(self, name) > 0:
            raise ValueError(
                f"{self.key}.{name} must be positive, not {getattr(self, name)}."
            )


@dataclass(frozen=True)
class LerConfig(_Switch):
    """Keys of ``model.ler``: localisation error reweighting in regression.

    Attributes:
        quality: whether the quality of the pseudo labels weights the box loss; without
            it all of them count alike, and ``reg_norm`` alone makes a difference.
        reg_norm: the box loss of a candidate is the sum over its four deltas. These
            sums are divided by the number of ``"foreground"`` candidates
            (equation 11), or of all ``"sampled"`` ones, as in MMDetection.
        gain: factor on the weights; the printed quality is below 0.5.
    """

    key = "model.ler"

    quality: bool = True
    reg_norm: str = "foreground"
    gain: float = 1.0

    def check(self) -> None:
        """Raise for a value out of range."""
        self._one_of("reg_norm", REG_NORMS)
        self._positive("gain")


@dataclass(frozen=True)
class PrcConfig(_Switch):
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

    key = "model.prc"

    quality: bool = True
    cls_norm: str = "separate"
    gain: float = 1.0
    box_hull: str | None = None
    growth_thr: float = 1.5

    def check(self) -> None:
        """Raise for a value out of range."""
        self._one_of("cls_norm", CLS_NORMS)
        self._one_of("box_hull", (None, *HULLS))
        self._positive("gain")
        self._positive("growth_thr")
