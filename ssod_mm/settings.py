"""Settings of a config that are checked by name, kind and range.

A class of settings declares its keys once, each with what it may be::

    @dataclass(frozen=True)
    class Example(Settings):
        key: ClassVar[str] = "model.example"
        weight: float = number(1.0, at_least=0)
        steps: int = whole(0, at_least=0)
        mode: str = choice("dense", ("dense", "sparse"))

``True`` is no number here, and neither are NaN, infinity and text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, TypeVar

from ssod_mm.errors import UserError

Kind = TypeVar("Kind", bound="Settings")


@dataclass(frozen=True)
class Rule:
    """What a key may be.

    Attributes:
        wanted: the rule in words, as they follow "must be".
        allows: whether a value keeps it.
    """

    wanted: str
    allows: Callable[[Any], bool]


def number(
    default: Any,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    optional: bool = False,
) -> Any:
    """A key that takes a finite number.

    Args:
        default: its value where the config has none.
        at_least: smallest value.
        at_most: largest value.
        above: bound that is not allowed itself.
        below: bound that is not allowed itself.
        optional: whether None is allowed.
    """
    rule = number_rule("number", at_least, at_most, above, below)
    return _ruled(default, rule, optional)


def whole(default: Any, at_least: int = 0, optional: bool = False) -> Any:
    """A key that takes a whole number, see :func:`number`."""
    return _ruled(default, number_rule("whole number", at_least), optional)


def choice(default: Any, options: tuple[Any, ...]) -> Any:
    """A key that takes one of some values."""
    rule = Rule(f"one of {list(options)}", lambda value: value in options)
    return _ruled(default, rule)


def flag(default: bool) -> Any:
    """A key that takes True or False."""
    return _ruled(default, Rule("True or False", lambda value: type(value) is bool))


def numbers(default: tuple[float, ...], at_least: float = 0) -> Any:
    """A key that takes as many finite numbers as its default has."""
    each = number_rule("number", at_least)
    length = len(default)

    def allows(value: Any) -> bool:
        listed = isinstance(value, (list, tuple)) and len(value) == length
        return listed and all(map(each.allows, value))

    wanted = f"{length} numbers, each at least {at_least:g}"
    return _ruled(default, Rule(wanted, allows))


def number_rule(
    kind: str,
    at_least: float | None = None,
    at_most: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Rule:
    """What a number may be.

    Args:
        kind: "number" or "whole number".
        at_least: see :func:`number`, as the others.
        at_most: largest value.
        above: bound that is not allowed itself.
        below: bound that is not allowed itself.
    """
    bounds = {
        "of at least": at_least,
        "above": above,
        "of at most": at_most,
        "below": below,
    }
    words = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
    if at_least is not None and at_most is not None:
        words = [f"from {at_least:g} to {at_most:g}"]

    def allows(value: Any) -> bool:
        kinds = (int,) if kind == "whole number" else (int, float)
        if type(value) not in kinds or not math.isfinite(value):
            return False
        return not (
            (at_least is not None and value < at_least)
            or (at_most is not None and value > at_most)
            or (above is not None and value <= above)
            or (below is not None and value >= below)
        )

    return Rule(f"a {kind} {' and '.join(words)}".strip(), allows)


def _ruled(default: Any, rule: Rule, optional: bool = False) -> Any:
    if optional:
        inner = rule.allows
        rule = Rule(f"{rule.wanted}, or None", lambda v: v is None or inner(v))
    return field(default=default, metadata={"rule": rule})


@dataclass(frozen=True)
class Settings:
    """Base of checked settings.

    Attributes:
        key: dotted config key of the dict that they come from.
    """

    key: ClassVar[str]

    @classmethod
    def from_config(
        cls: type[Kind], cfg: Mapping[str, Any] | None, key: str | None = None
    ) -> Kind:
        """Checked settings from a config dict.

        Args:
            cfg: the dict; None takes the defaults.
            key: where it stands, if not at the class's own place.

        Returns:
            The settings.

        Raises:
            ValueError: an unknown key, or a value that it may not have; names the key.
        """
        key = key or cls.key
        if cfg is not None and not isinstance(cfg, Mapping):
            raise UserError(f"{key} must be a dict of settings, not {cfg!r}.")
        cfg = dict(cfg or {})
        known = [setting.name for setting in fields(cls)]
        unknown = sorted(set(cfg) - set(known))
        if unknown:
            raise UserError(
                f"{key} has unknown key(s) {unknown}; known: {sorted(known)}."
            )
        settings = cls(**cfg)
        settings.check(key)
        return settings

    def check(self, key: str) -> None:
        """Check every value; subclasses add what keys mean together.

        Args:
            key: dotted config key, for messages.

        Raises:
            ValueError: for a value that its key may not have.
        """
        for setting in fields(self):
            rule, value = setting.metadata.get("rule"), getattr(self, setting.name)
            if rule is not None and not rule.allows(value):
                raise UserError(
                    f"{key}.{setting.name} must be {rule.wanted}, not {value!r}."
                )


def switched(kind: type[Kind], cfg: Mapping[str, Any] | bool | None) -> Kind | None:
    """Settings of something that a config can switch off.

    Args:
        kind: the class of the settings.
        cfg: a dict of settings, True for the defaults, False or None for off.

    Returns:
        The settings; None for off.

    Raises:
        ValueError: as :meth:`Settings.from_config`.
    """
    if cfg is None or cfg is False:
        return None
    return kind.from_config(None if cfg is True else cfg)
