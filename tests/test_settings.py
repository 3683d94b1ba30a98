"""Settings are checked by kind and range, and refused by their config key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
from mmengine.config import Config

from ssod_mm.cli.resolve import NUMBERS, resolve_config
from ssod_mm.models.class_balance import BalanceSettings
from ssod_mm.models.dense.settings import DenseStage
from ssod_mm.models.detectors.lerprc_settings import LerConfig, PrcConfig
from ssod_mm.models.detectors.semi_settings import SemiTrainConfig
from ssod_mm.models.mixing import Mixing
from ssod_mm.settings import (
    Settings,
    choice,
    flag,
    number,
    numbers,
    switched,
    whole,
)

NAN, INF = float("nan"), float("inf")


@dataclass(frozen=True)
class Example(Settings):
    key: ClassVar[str] = "model.example"

    weight: float = number(1.0, at_least=0)
    share: float = number(0.5, above=0, below=1)
    steps: int = whole(3, at_least=1)
    limit: int | None = whole(None, optional=True)
    pair: tuple[float, float] = numbers((1.0, 2.0))
    mode: str = choice("a", ("a", "b"))
    on: bool = flag(True)


def test_values_of_the_right_kind_are_taken():
    cfg = dict(weight=0, share=0.1, steps=1, limit=4, pair=[0, 3], mode="b", on=False)
    settings = Example.from_config(cfg)
    assert {key: getattr(settings, key) for key in cfg} == cfg
    assert Example.from_config(None) == Example()
    assert switched(Example, True) == Example()
    assert switched(Example, False) is switched(Example, None) is None


@pytest.mark.parametrize(
    ("key", "values", "wanted"),
    [
        ("weight", [NAN, INF, -1, True, "1", None, [1]], "a number of at least 0"),
        ("share", [0, 1, NAN, "0.5"], "a number above 0 and below 1"),
        ("steps", [0, 1.0, True, "3", None, NAN], "a whole number of at least 1"),
        ("limit", [-1, 0.5, False], "a whole number of at least 0, or None"),
        ("pair", [1, (1,), (1, 2, 3), (1, NAN), (True, 1), "12"], "2 numbers"),
        ("mode", ["c", None, 1], r"one of \['a', 'b'\]"),
        ("on", [1, 0, "True", None], "True or False"),
    ],
)
def test_wrong_values_are_refused_by_name_and_value(key, values, wanted):
    for value in values:
        with pytest.raises(
            ValueError, match=rf"model\.example\.{key} must be {wanted}"
        ):
            Example.from_config({key: value})


def test_unknown_keys_and_no_dict_are_refused():
    with pytest.raises(ValueError, match=r"model\.example has unknown key.*'wieght'"):
        Example.from_config(dict(wieght=1))
    with pytest.raises(ValueError, match=r"model\.example must be a dict.*not 3"):
        Example.from_config(3)


@pytest.mark.parametrize(
    "kind",
    [SemiTrainConfig, LerConfig, PrcConfig, DenseStage, BalanceSettings, Mixing],
)
def test_no_setting_of_a_method_takes_nan(kind):
    """Every number that a method reads is checked, with True and NaN refused."""
    for name, field in kind.__dataclass_fields__.items():
        if name in ("key", "joint_forward"):  # which takes True
            continue
        if not isinstance(field.default, (int, float)):
            continue
        for wrong in (NAN, "1"):
            with pytest.raises(ValueError, match=rf"\.{name} must be"):
                kind.from_config({name: wrong}, "model.x")
        if not isinstance(field.default, bool):
            with pytest.raises(ValueError, match=rf"\.{name} must be"):
                kind.from_config({name: True}, "model.x")


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", [True, NAN, "2", -1, [2]], ids=str)
def test_numbers_of_the_runner_are_refused_by_name_and_value(key, value):
    cfg = Config(dict(work_dir="x"))
    cfg.merge_from_dict({key: value})
    with pytest.raises(ValueError, match=rf"^{key} must be a .*, not "):
        resolve_config(cfg, check_files=())
